"""The terms of a session: what the client asks for, cut down to what the operator allows (§7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tidings.wire.xmpp.bosh.body import BindingError, Body, TerminalCondition
from tidings.wire.xmpp.bosh.options import BoshOptions

VERSION: Final = (1, 11)
CONTENT_TYPE: Final = "text/xml; charset=utf-8"
XMPP_VERSION: Final = "{urn:xmpp:xbosh}version"
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\Z", re.ASCII)
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?charset=\"?utf-8\"?)?\Z", re.ASCII | re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class Terms:
    """What client and connection manager have agreed on."""

    domain: str
    version: tuple[int, int] | None
    """None for a client from before versions, which expects HTTP errors (§17.1)."""
    wait: int
    hold: int
    inactivity: int
    max_pause: int
    polling: int
    content_type: str
    """Of the answers; a client may be unable to read any other (§7.1)."""
    acknowledges: bool
    """Whether the client tells which answers it has seen (§9.2)."""

    @property
    def requests(self) -> int:
        """How many requests the client may have unanswered at a time."""
        return self.hold + 1

    @property
    def is_polling(self) -> bool:
        """Whether every request is answered at once (§12)."""
        return self.hold == 0

    @classmethod
    def agree(cls, request: Body, options: BoshOptions) -> Terms:
        """Read the first request of a session; raises `BindingError` when it cannot begin one."""
        attributes = request.attributes
        domain = attributes.get("to")
        if not domain:
            raise BindingError(
                TerminalCondition.IMPROPER_ADDRESSING, "the first request needs `to`, a domain"
            )
        wait = _at_most(request.number("wait"), options.wait)
        hold = _at_most(request.number("hold"), options.hold, default=1)
        if not wait or not hold:
            wait = hold = 0  # §12: either makes a polling session
        return cls(
            domain=domain,
            version=_version(attributes.get("ver")),
            wait=wait,
            hold=hold,
            inactivity=options.inactivity if hold else options.polling_inactivity,
            max_pause=options.max_pause,
            polling=options.polling,
            content_type=_content_type(attributes.get("content")),
            acknowledges=attributes.get("ack") == "1",
        )

    def greeting(self, sid: str, rid: int) -> dict[str, str]:
        """Give the attributes of the session creation response (§7.2, XEP-0206 §4)."""
        attributes = {
            "sid": sid,
            "wait": str(self.wait),
            "requests": str(self.requests),
            "hold": str(self.hold),
            "inactivity": str(self.inactivity),
            "from": self.domain,
            "ack": str(rid),
            "charsets": "UTF-8",
            "xmpp:version": "1.0",
            "xmpp:restartlogic": "true",
        }
        if self.version is not None:
            attributes["ver"] = ".".join(map(str, min(self.version, VERSION)))
        if self.polling:
            attributes["polling"] = str(self.polling)
        if self.max_pause:
            attributes["maxpause"] = str(self.max_pause)
        return attributes


def _at_most(asked: int | None, allowed: int, default: int | None = None) -> int:
    """Give what the client asked for, but no more than is allowed."""
    if asked is None:
        asked = allowed if default is None else default
    return min(asked, allowed)


def _version(text: str | None) -> tuple[int, int] | None:
    """Read `ver`, two numbers (§7.1: 1.10 is higher than 1.9)."""
    if text is None:
        return None
    match = _VERSION.match(text)
    if match is None:
        raise BindingError(TerminalCondition.BAD_REQUEST, "ver must be two numbers with a dot between")
    return int(match[1]), int(match[2])


def _content_type(text: str | None) -> str:
    """Read `content`; it becomes a header, so that nothing but a media type in UTF-8 may pass."""
    if text is None:
        return CONTENT_TYPE
    if _MEDIA_TYPE.match(text) is None:
        raise BindingError(TerminalCondition.BAD_REQUEST, "content must be a media type, its charset UTF-8")
    return text
