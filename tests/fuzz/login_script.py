"""Random sequences of what a client may send before log-in, with credentials that are seldom right."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from scramp import ScramClient, ScramException

from tests.fuzz.mutations import NAMESPACES, mutate
from tests.fuzz.payloads import played, written
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

_DEVICE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
_MECHANISMS = (
    *("PLAIN",) * 8,
    *("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256", "SCRAM-SHA-512") * 2,
    *("SCRAM-SHA-256-PLUS", "ANONYMOUS", "EXTERNAL", "HT-SHA-256-NONE", "HT-SHA-256-EXPR"),
    *("DIGEST-MD5", "", "plain", "x" * 300),
)
_TEXTS = (
    "",
    "=",
    "!",
    "====",
    "bm8=",
    "AA==",
    "AAAA",
    "AGEAYg==",
    "é",
    " ",
    "biws",
    "biwsbj1hLHI9Yg==",
    "A" * 9_000,
)


class Kind(Enum):
    """What a step is, to each transport in its own way."""

    HEADER = auto()
    ELEMENT = auto()
    RAW = auto()
    SPACE = auto()
    CLOSING = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a client sends; of a header, `attributes` alone count."""

    kind: Kind
    element: Element | None = None
    attributes: dict[str, str] | None = None
    raw: str = ""


class Script:
    """What one client sends; who sends it tells it the challenges that come."""

    def __init__(self, chance: random.Random, name: str, password: str, domain: str) -> None:
        self.challenge: str | None = None
        """The last challenge in base64."""
        self.is_proven = False
        """Whether right credentials were among what has been sent."""
        self._chance = chance
        self._name = name
        self._password = password
        self._domain = domain
        self._scram: tuple[ScramClient, bool] | None = None
        self._profile = ns.SASL

    def steps(self) -> Iterator[Step]:
        """Give the steps one by one."""
        chance = self._chance
        if chance.random() < 0.95:
            yield self._header()
        has_begun_anew = False
        for _ in range(chance.choice((1, 2, 3, 5, 8, 12))):
            yield self._step()
            if self.is_proven and not has_begun_anew and chance.random() < 0.6:
                has_begun_anew = True
                yield self._header()

    def _step(self) -> Step:
        chance = self._chance
        kind = chance.randrange(20)
        if kind == 0 and chance.random() < 0.4:
            return self._header()
        if kind == 1:
            return Step(Kind.SPACE, raw=chance.choice((" ", "\n", "\r\n\t ")))
        if kind == 2 and chance.random() < 0.5:
            raw = (
                "<",
                "text",
                "<!-- -->",
                "<iq",
                "</x>",
                "<a:b/>",
                "\u00ff",
                "<?x?>",
                "]]>",
                "&x;",
                "\x01",
                "x" * 20_000,
            )
            return Step(Kind.RAW, raw=chance.choice(raw))
        if kind == 3 and chance.random() < 0.3:
            return Step(Kind.CLOSING)
        element = (
            self._login() if kind < 17 and not (self.is_proven and chance.random() < 0.6) else self._other()
        )
        if chance.random() < 0.1:
            below = [element, *(child for child in element.children)]
            mutate(chance, chance.choice(below))
        return Step(Kind.ELEMENT, element=element)

    # --- log-in

    def _login(self) -> Element:
        chance = self._chance
        if self.challenge is not None and chance.random() < 0.85:
            return Element("response", self._profile, None, self._answer())
        kind = chance.randrange(20)
        if kind == 0:
            return Element("abort", chance.choice((ns.SASL, ns.SASL2)))
        if kind == 1:
            profile = chance.choice((ns.SASL, ns.SASL2))
            return Element("response", profile, None, chance.choice((self._plain(), chance.choice(_TEXTS))))
        mechanism = chance.choice(_MECHANISMS)
        self._scram, self.challenge = None, None
        first = self._first(mechanism)
        if chance.random() < 0.5:
            self._profile = ns.SASL
            return Element("auth", ns.SASL, {"mechanism": mechanism}, *([first] if first else []))
        self._profile = ns.SASL2
        element = Element("authenticate", ns.SASL2, {"mechanism": mechanism})
        if first or chance.random() < 0.2:
            element.append(Element("initial-response", ns.SASL2, None, first))
        for _ in range(chance.choice((0, 0, 1, 2, 4))):
            element.append(self._inline())
        return element

    def _first(self, mechanism: str) -> str:
        chance = self._chance
        if chance.random() < 0.15:
            return chance.choice(_TEXTS)
        if mechanism == "PLAIN":
            return self._plain() if chance.random() < 0.9 else ""
        if mechanism in {"SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}:
            is_right = chance.random() < 0.3
            name = self._name if is_right else chance.choice((self._name, "nobody"))
            password = self._password if is_right else "wrong"
            client = ScramClient([mechanism], name, password)
            self._scram = (client, is_right)
            return _encode(client.get_client_first())
        return _encode(chance.choice((self._name, f"{self._name}\0x", f"{self._name}@{self._domain}", "")))

    def _answer(self) -> str:
        """Answer the challenge, rightly or with something wrong."""
        chance = self._chance
        challenge, self.challenge = self.challenge or "", None
        if self._scram is None:
            return self._plain()
        client, is_right = self._scram
        self._scram = None
        try:
            client.set_server_first(base64.b64decode(challenge).decode())
            final = client.get_client_final()
        except (ValueError, ScramException):
            return chance.choice(_TEXTS)
        if chance.random() < 0.3:
            return _encode(
                chance.choice(
                    (final[:-4], f"{final},x=y", final.replace("r=", "r=x"), final.replace("c=", "c=e"))
                )
            )
        self.is_proven |= is_right
        return _encode(final)

    def _plain(self) -> str:
        chance = self._chance
        if chance.random() < 0.3:
            self.is_proven = True
            return _encode(
                f"{chance.choice(('', f'{self._name}@{self._domain}'))}\0{self._name}\0{self._password}"
            )
        name, password = self._name, self._password
        wrong = (
            *(
                f"\0{name}\0wrong",
                f"\0{name}\0",
                f"\0\0{password}",
                f"{name}\0{password}",
                "\0\0",
                "",
                "\0" * 9,
            ),
            *(
                f"nobody@{self._domain}\0{name}\0{password}x",
                f"\0nobody\0{password}",
                f"\0{name}\0{password}\0",
            ),
            *(
                f"\0{name}@{self._domain}\0{password}",
                f"\0{name} \0{password} ",
                f"{name}\0{name}\0{password}é",
            ),
            f"\0{'x' * 2_000}\0{'y' * 2_000}",
        )
        return _encode(chance.choice(wrong))

    def _inline(self) -> Element:
        chance = self._chance
        match chance.randrange(6):
            case 0:
                return Element(
                    "user-agent", ns.SASL2, {"id": chance.choice((_DEVICE, "x", ""))}, written(chance)
                )
            case 1:
                inner = [self._managed() if chance.random() < 0.5 else written(chance) for _ in range(2)]
                return Element(
                    "bind", ns.BIND2, None, Element("tag", ns.BIND2, None, chance.choice(("x", ""))), *inner
                )
            case 2:
                return Element("fast", ns.FAST, {"count": chance.choice(("1", "0", "-1", "x"))})
            case 3:
                return Element("request-token", ns.FAST, {"mechanism": chance.choice(_MECHANISMS)})
            case 4:
                return self._managed()
            case _:
                return written(chance)

    # --- the rest

    def _managed(self) -> Element:
        chance = self._chance
        name = chance.choice(("enable", "resume", "r", "a", "enabled", "failed"))
        return Element(
            name, ns.SM, {"h": chance.choice(("0", "-1", "x")), "previd": chance.choice(("", "x" * 40))}
        )

    def _other(self) -> Element:
        chance = self._chance
        match chance.randrange(9):
            case 0:
                return Element("starttls", ns.TLS)
            case 1 | 2:
                resource = Element(
                    "resource", ns.BIND, None, chance.choice(("x", "", "é" * 900, "\u00ad", " "))
                )
                return _iq(
                    chance, Element("bind", ns.BIND, None, *([resource] if chance.random() < 0.5 else []))
                )
            case 3:
                return _iq(chance, Element("session", ns.SESSION))
            case 4:
                names = (Element(name, ns.REGISTER, None, "fuzzed") for name in ("username", "password"))
                return _iq(
                    chance, Element("query", ns.REGISTER, None, *(names if chance.random() < 0.2 else ()))
                )
            case 5:
                return self._managed()
            case 6:
                return chance.choice(played())
            case 7:
                return Element("error", ns.STREAMS, None, Element("conflict", ns.STREAM_ERRORS))
            case _:
                return Element(
                    chance.choice(("x", "open", "close", "body")),
                    chance.choice(NAMESPACES),
                    None,
                    written(chance),
                )

    def _header(self) -> Step:
        chance = self._chance
        attributes = {"to": self._domain, "version": "1.0"}
        if chance.random() < 0.1:
            attributes[chance.choice(("to", "version", "from", "xml:lang", "id"))] = chance.choice(
                (
                    *("", "x", "1.1", "0.9", "nowhere.example", "a@b@c", "x" * 3_000),
                    f"{self._name}@{self._domain}",
                    "de",
                )
            )
        return Step(Kind.HEADER, attributes=attributes)


def _iq(chance: random.Random, payload: Element) -> Element:
    return Element("iq", ns.CLIENT, {"type": chance.choice(("set", "set", "set", "get")), "id": "i"}, payload)


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
