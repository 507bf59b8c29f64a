"""The tree of errors; what each asks of the one who catches it.

    TidingsError
    ├── StanzaError          answer the stanza with it
    ├── StreamError          send it and close the stream
    ├── BackendError         a store or broker is slow, full or gone: retry or degrade
    │   └── InUseError       another process has it for itself: wait for that one, or ask it
    ├── LocalProtocolError   this side used a machine wrongly
    └── RemoteProtocolError  the peer broke a protocol

Anything else is a bug: logged with its session, counted, answered with `internal-server-error`.
"""

from __future__ import annotations

from typing import Final

STANZA_ERROR_KINDS: Final = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}
"""The conditions of RFC 6120 §8.3.3, each with the error type that the document gives it."""


class TidingsError(Exception):
    """Something that this project foresees."""


class StanzaError(TidingsError):
    """Answer the stanza with this condition (RFC 6120 §8.3).

    `kind` is the error type: cancel, continue, modify, auth or wait; by default that of the condition.
    `payload` is the raw XML of an application-specific child.
    """

    by = ""
    """Who refused it and why, for logs and operators; whom it answers is not told."""

    def __init__(
        self, condition: str, text: str = "", *, kind: str | None = None, payload: bytes = b"", by: str = ""
    ) -> None:
        super().__init__(text or condition)
        self.condition = condition
        self.text = text
        self.kind = kind or STANZA_ERROR_KINDS[condition]
        self.payload = payload
        if by:
            self.by = by


class StreamError(TidingsError):
    """Send this condition and close the stream (RFC 6120 §4.9).

    `content` is the text inside the condition, which an address alone is (§4.9.3.19); `payload` is the raw
    XML of an application-specific element beside it (§4.9.4).
    """

    by = ""
    """Who has had the stream ended, for logs; the client is not told."""

    def __init__(
        self, condition: str, text: str = "", *, content: str = "", payload: bytes = b"", by: str = ""
    ) -> None:
        super().__init__(text or condition)
        self.condition = condition
        self.text = text
        self.content = content
        self.payload = payload
        if by:
            self.by = by


class BackendError(TidingsError):
    """A store or broker cannot answer now; the text says what, where and what to do."""


class InUseError(BackendError):
    """Another process has a store for itself; the text says which one, and what to do."""


class BackupError(TidingsError):
    """A backup cannot be made, read or restored; the text says why, and what to do."""


class LocalProtocolError(TidingsError):
    """Our side used a machine in a way that its protocol does not know."""


class RemoteProtocolError(TidingsError):
    """The peer sent what its protocol does not know."""
