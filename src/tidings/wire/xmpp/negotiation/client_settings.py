"""What a client wants of a stream: who logs in, with what, and what it wants to have with it."""

from enum import Enum, auto

import msgspec

from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.negotiation.values import UserAgent
from tidings.wire.xmpp.sasl.keys import HASHES, PLUS
from tidings.wire.xmpp.sasl.simple import PLAIN

PREFERENCE = (*(name + PLUS for name in HASHES), *HASHES, PLAIN)
"""The password mechanisms, the one to prefer first."""


class TlsWish(Enum):
    """Whether a stream that begins in plain text shall be encrypted."""

    REQUIRED = auto()
    """Goes no further without."""
    OFFERED = auto()
    """Does if the server can."""
    NEVER = auto()
    """Does not, for transports without STARTTLS and for tests."""


class DeviceToken(msgspec.Struct, frozen=True):
    """A token that this device got at an earlier log-in (XEP-0484)."""

    mechanism: str
    token: str
    count: int | None = None
    """How often it was used, this time included; needed for 0-RTT only."""
    invalidate: bool = False
    """Ends the token with this log-in."""

    def __repr__(self) -> str:
        return f"DeviceToken({self.mechanism})"


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who logs in, with what, and what it wants to have with it."""

    domain: str
    account: Jid | None = None
    """The bare JID; None logs in anonymously."""
    password: str = ""
    token: DeviceToken | None = None
    external: bool = False
    """True if the TLS channel has the account's certificate."""
    tls: TlsWish = TlsWish.REQUIRED
    plain_without_tls: bool = False
    """Allows PLAIN, tokens and SASL2 on unencrypted streams."""
    mechanisms: tuple[str, ...] = PREFERENCE
    """The password mechanisms that may be used; the strongest on offer is."""
    use_sasl2: bool = True
    user_agent: UserAgent = UserAgent()
    resource: str = ""
    """The resource to bind; "" leaves it to the server. With Bind 2, the tag of the resource."""
    want_token: bool = False
    """Asks for a token, if the user agent has an id."""
    sasl2_inline: tuple[Element, ...] = ()
    """What to negotiate with log-in, such as <resume/>."""
    bind2_inline: tuple[Element, ...] = ()
    """What to enable with the session."""
    lang: str = "en"

    def __repr__(self) -> str:
        return f"ClientSettings({self.account or self.domain!r})"
