"""What a client asks for when it logs in, read once from <auth/> or <authenticate/>.

Implements RFC 6120 §6.4.2, XEP-0388 §2.4, XEP-0386 §3.2 and XEP-0484 §3.2-3.6.
"""

import re

import msgspec

from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import LoginRefusedError, read_data
from tidings.wire.xmpp.negotiation.values import UserAgent
from tidings.wire.xmpp.sasl.steps import Condition

MAX_COUNT = 2**53
"""The highest count of a token that is believed."""
MAX_NAME = 256
"""Characters of the names of software and device that are kept."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COUNT = re.compile(r"[0-9]{1,16}")
_KNOWN = {
    ("initial-response", ns.SASL2),
    ("user-agent", ns.SASL2),
    ("bind", ns.BIND2),
    ("request-token", ns.FAST),
    ("fast", ns.FAST),
}


class TokenUse(msgspec.Struct, frozen=True):
    """How the client uses its token (XEP-0484 §3.4, §3.6)."""

    count: int | None = None
    invalidate: bool = False


class BindRequest(msgspec.Struct, frozen=True):
    """A wish for a session, with log-in (XEP-0386 §3.2)."""

    tag: str = ""
    inline: tuple[Element, ...] = ()


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to log in."""

    profile: str
    """`ns.SASL` or `ns.SASL2`."""
    mechanism: str
    initial: bytes | None = None
    """The initial response; None where there is none, which is not the same as an empty one."""
    user_agent: UserAgent = UserAgent()
    bind: BindRequest | None = None
    token_use: TokenUse | None = None
    token_wanted: str = ""
    """The mechanism of the token that the client asks for."""
    inline: tuple[Element, ...] = ()
    """The other children of <authenticate/>."""


def read_auth(element: Element) -> LoginRequest:
    """Read <auth/> of SASL."""
    mechanism = _mechanism_of(element)
    text = element.text.strip()
    return LoginRequest(profile=ns.SASL, mechanism=mechanism, initial=read_data(text) if text else None)


def read_authenticate(element: Element) -> LoginRequest:
    """Read <authenticate/> of SASL2."""
    mechanism = _mechanism_of(element)
    initial = element.text_of("initial-response")
    wish = element.find("request-token", ns.FAST)
    return LoginRequest(
        profile=ns.SASL2,
        mechanism=mechanism,
        initial=None if initial is None else read_data(initial),
        user_agent=_read_user_agent(element.find("user-agent")),
        bind=_read_bind(element.find("bind", ns.BIND2)),
        token_use=_read_token_use(element.find("fast", ns.FAST)),
        token_wanted="" if wish is None else _mechanism_of(wish),
        inline=tuple(child for child in element.children if (child.name, child.namespace) not in _KNOWN),
    )


def _mechanism_of(element: Element) -> str:
    name = element.get("mechanism") or ""
    if not name:
        raise LoginRefusedError(Condition.INVALID_MECHANISM, "no mechanism is named")
    return name


def _read_user_agent(element: Element | None) -> UserAgent:
    """Read who connects; its id must be a UUID, which is compared in lower case."""
    if element is None:
        return UserAgent()
    identity = (element.get("id") or "").lower()
    if identity and not _UUID.fullmatch(identity):
        raise LoginRefusedError(Condition.MALFORMED_REQUEST, "the id of the user agent is not a UUID")
    software = (element.text_of("software") or "")[:MAX_NAME]
    return UserAgent(identity, software, (element.text_of("device") or "")[:MAX_NAME])


def _read_bind(element: Element | None) -> BindRequest | None:
    if element is None:
        return None
    inline = tuple(child for child in element.children if child.namespace != ns.BIND2)
    return BindRequest(element.text_of("tag") or "", inline)


def _read_token_use(element: Element | None) -> TokenUse | None:
    if element is None:
        return None
    count = element.get("count")
    if count is not None and not (_COUNT.fullmatch(count) and 0 < int(count) <= MAX_COUNT):
        raise LoginRefusedError(Condition.MALFORMED_REQUEST, "the count of a token is a positive integer")
    return TokenUse(None if count is None else int(count), element.get("invalidate") in {"1", "true"})
