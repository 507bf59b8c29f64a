# ruff: noqa: RUF001  # these letters are meant
"""Look-alikes: which names people take for one another, after the skeletons of Unicode (UTS #39 §4).

What counts is how a name looks at a glance, not what it means: case, width, marks above and below letters,
signs that show nothing, and letters of other scripts that look like Latin ones make no difference. A name is
compared by its keys, which costs the same however many others there are.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from tidings.base.jid import Jid

_LOOKS_LIKE: Final = {
    "2": "ƧϨᒿꙄꝚ",
    "3": "ƷȜЗӠⳌꝪꞫ",
    "4": "Ꮞ",
    "5": "Ƽ",
    "6": "бᏮⳒ",
    "8": "Ȣȣ৪੪",
    "9": "৭੧୨൭ⳊꝮ",
    "A": "ΑАᎪᗅꓮ",
    "B": "ΒВᏴᗷꓐꞴ",
    "C": "СᏟⲤꓚ",
    "D": "Ꭰᗞᗪꓓ",
    "E": "ΕЕᎬⴹꓰ",
    "F": "ϜᖴꓝꞘ",
    "G": "ԌᏀᏳꓖ",
    "H": "ΗНᎻᕼⲎꓧ",
    "J": "ͿЈᎫᒍꓙꞲ",
    "K": "ΚКᏦⲔꓗ",
    "L": "ᏞᒪⳐꓡ",
    "M": "ΜϺМᎷᗰⲘꓟ",
    "N": "ΝⲚꓠ",
    "P": "ΡРᏢᑭⲢꓑ",
    "Q": "ⵕ",
    "R": "ƦᎡᏒᖇꓣ",
    "S": "ЅՏᏕᏚꓢ",
    "T": "ΤТᎢⲦꓔ",
    "U": "Սሀᑌꓴ",
    "V": "ѴᏙᐯⴸꓦ",
    "W": "ԜᎳᏔꓪ",
    "X": "ΧХⲬⵝꓫꞳ",
    "Y": "ΥУҮᎩᎽⲨꓬ",
    "Z": "ΖᏃꓜ",
    "a": "ɑαа",
    "b": "ƄЬᏏᑲᖯ",
    "c": "сᴄⲥꮯ",
    "d": "ԁᏧᑯꓒđ",
    "e": "еҽꬲ",
    "f": "քẝꞙꬵ",
    "g": "ƍɡցᶃ",
    "h": "һհᏂħ",
    "i": "ıɩɪιіӏᎥꙇꭵɨ",
    "j": "ϳј",
    "l": "I1|ƖǀΙІӀⲒⵏꓲł",
    "n": "ոռ",
    "o": "0ΟОՕଠ୦ዐⲞⵔ〇ꓳοσоօ०੦૦௦౦೦ഠ൦๐໐ဝ၀ჿᴏᴑⲟꬽøØ",
    "p": "ρрⲣ",
    "q": "ԛգզ",
    "r": "гᴦⲅꭇꭈꮁ",
    "s": "ƽѕꜱꮪ",
    "u": "ʋυսᴜꞟꭎꭒ",
    "v": "νѵᴠꮩ",
    "w": "ɯѡԝաᴡꮃ",
    "x": "хᕁᕽ",
    "y": "ɣʏγуүყᶌỿꭚ",
    "z": "ᴢꮓ",
    " ": "\u2800\u3164\u115f\u1160",
}
"""Single letters and digits that Unicode's table of confusables has for a Latin one, and blank signs."""

_TABLE: Final = str.maketrans({other: shown for shown, others in _LOOKS_LIKE.items() for other in others})
_MARKS: Final = ((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE2F))
"""Marks that any letter may have; those of scripts whose vowels are marks are not among them."""


def keys_of(name: str) -> tuple[str, ...]:
    """Give the keys of a name, one or two: names that have one in common look alike.

    There are two since some letters look like a Latin one as capitals, and like another as small letters.
    """
    if not name.isascii():
        plain = unicodedata.normalize("NFKD", name)
        name = unicodedata.normalize("NFC", "".join(filter(_is_seen, plain)))
    first = " ".join(name.translate(_TABLE).casefold().split())
    second = " ".join(name.casefold().translate(_TABLE).split())
    return (first,) if first == second else (first, second)


class Looks:
    """Who has which name, by how the names look; a name may be that of several."""

    __slots__ = ("_by_key",)

    def __init__(self) -> None:
        self._by_key: dict[str, list[tuple[str, Jid]]] = {}

    def add(self, name: str, jid: Jid) -> None:
        """Note that somebody has a name."""
        for key in keys_of(name):
            self._by_key.setdefault(key, []).append((name, jid))

    def discard(self, name: str, jid: Jid) -> None:
        """Note that somebody has a name no more."""
        for key in keys_of(name):
            known = self._by_key.get(key)
            if known is not None and (name, jid) in known:
                known.remove((name, jid))
                if not known:
                    del self._by_key[key]

    def holder_of(self, name: str) -> Jid | None:
        """Give who has this very name."""
        known = self._by_key.get(keys_of(name)[0], ())
        return next((jid for other, jid in known if other == name), None)

    def like(self, name: str, jid: Jid) -> str:
        """Give a name of somebody else that looks like this one, or is it; empty where there is none."""
        for key in keys_of(name):
            for other, holder in self._by_key.get(key, ()):
                if holder != jid:
                    return other
        return ""


def _is_seen(character: str) -> bool:
    code = ord(character)
    if any(first <= code <= last for first, last in _MARKS):
        return False
    return unicodedata.category(character) not in {"Cf", "Cc"}
