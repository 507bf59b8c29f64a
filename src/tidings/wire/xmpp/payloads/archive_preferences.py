"""Message Archive Management Preferences: whose messages an account wants archived (XEP-0441 0.2.0).

Limit: 1,000 addresses in each list.
"""

import enum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import NAMESPACES

LISTED: Final = 1_000


class ArchiveDefault(enum.StrEnum):
    """What happens to messages with those who are in neither list (§2.1.1)."""

    ALWAYS = "always"
    NEVER = "never"
    ROSTER = "roster"


class ArchivePreferences(msgspec.Struct, frozen=True):
    """Preferences as they are, or as they shall be; a request has no `default`."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((namespace, "prefs") for namespace in NAMESPACES)

    default: ArchiveDefault | None = None
    always: tuple[Jid, ...] = ()
    never: tuple[Jid, ...] = ()
    namespace: str = ns.MAM2

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the preferences.

        Raise `bad-request` for an unknown default or lists too long, and `jid-malformed` for what is no
        address: to pass over it would say that it is obeyed.
        """
        default = element.get("default")
        if default is not None and default not in set(ArchiveDefault):
            raise StanzaError("bad-request", "the default is always, never or roster")
        return cls(
            None if default is None else ArchiveDefault(default),
            _read_list(element, "always"),
            _read_list(element, "never"),
            element.namespace,
        )

    def encode(self) -> Element:
        """Return `<prefs/>`; an answer always has both lists (§2.1)."""
        element = Element("prefs", self.namespace)
        if self.default is not None:
            element.attributes["default"] = self.default.value
            element.append(_written("always", self.always, self.namespace))
            element.append(_written("never", self.never, self.namespace))
        return element

    def change(self) -> ArchiveDefault:
        """Return the default of a set, or raise `bad-request`: it has to say one (§2.1.1)."""
        if self.default is None:
            raise StanzaError("bad-request", "the preferences need a default")
        return self.default


def is_wanted(preferences: ArchivePreferences, peer: Jid, *, is_contact: bool) -> bool:
    """Tell whether a message with `peer` is to be archived (§2.3).

    An address with its resource says more than one without; of the same address, never outweighs always.
    """
    for address in dict.fromkeys((peer, peer.bare)):
        if address in preferences.never:
            return False
        if address in preferences.always:
            return True
    match preferences.default:
        case ArchiveDefault.NEVER:
            return False
        case ArchiveDefault.ROSTER:
            return is_contact
        case ArchiveDefault.ALWAYS | None:
            return True


def _read_list(element: Element, name: str) -> tuple[Jid, ...]:
    """Return the addresses of a list, each once."""
    listed = element.find(name)
    jids: dict[Jid, None] = {}
    for item in () if listed is None else listed.find_all("jid"):
        try:
            jids[Jid(item.text.strip())] = None
        except JidError as error:
            raise StanzaError("jid-malformed", f"{name}: {error}") from None
    if len(jids) > LISTED:
        raise StanzaError("bad-request", f"{name} takes {LISTED} addresses at most")
    return tuple(jids)


def _written(name: str, jids: tuple[Jid, ...], namespace: str) -> Element:
    return Element(name, namespace, None, *(Element("jid", namespace, None, str(jid)) for jid in jids))
