"""PLAIN, EXTERNAL and ANONYMOUS: the mechanisms of one message.

Implements RFC 4616, RFC 4422 appendix A with XEP-0178 §2, and RFC 4505 with XEP-0175.
"""

from collections.abc import Sequence

from tidings.wire.xmpp.sasl.steps import (
    Condition,
    Failure,
    MechanismError,
    NeedAccount,
    NeedPassword,
    Step,
    Success,
)

PLAIN = "PLAIN"
EXTERNAL = "EXTERNAL"
ANONYMOUS = "ANONYMOUS"

MAX_TRACE = 1020
"""Octets of ANONYMOUS trace data (RFC 4505 §2: 255 characters)."""


class PlainServer:
    """Takes a password in the clear and asks whether it is right."""

    def __init__(self) -> None:
        self.username = ""
        """Who the client says it is, as soon as it has said so."""

    def receive(self, message: bytes) -> Step:
        """Read `authzid NUL authcid NUL password` (RFC 4616 §2)."""
        try:
            authzid, self.username, password = message.decode().split("\0")
        except UnicodeDecodeError:
            return Failure(Condition.MALFORMED_REQUEST, "not UTF-8")
        except ValueError:
            return Failure(Condition.MALFORMED_REQUEST, "a PLAIN message has three parts")
        if not self.username or not password:
            return Failure(Condition.MALFORMED_REQUEST, "user name and password must not be empty")
        return NeedPassword(self.username, authzid, password)

    def checked(self, *, accepted: bool) -> Step:
        """Take the answer to `NeedPassword`."""
        return Success() if accepted else Failure(Condition.NOT_AUTHORIZED)


class ExternalServer:
    """Lets the owner of a client certificate in; `identities` are the bare JIDs that it names."""

    def __init__(self, identities: Sequence[str]) -> None:
        self._identities = identities

    def receive(self, message: bytes) -> Step:
        """Read the authorization identity: empty where the certificate names just one (XEP-0178 §2)."""
        try:
            authzid = message.decode()
        except UnicodeDecodeError:
            return Failure(Condition.MALFORMED_REQUEST, "not UTF-8")
        if "\0" in authzid:
            return Failure(Condition.MALFORMED_REQUEST, "NUL in an authorization identity")
        if authzid:
            return NeedAccount(authzid)
        if len(self._identities) == 1:
            return NeedAccount(self._identities[0])
        return Failure(Condition.INVALID_AUTHZID, "the certificate names more than one address: choose one")

    def checked(self, *, accepted: bool) -> Step:
        """Take the answer to `NeedAccount`."""
        return Success() if accepted else Failure(Condition.NOT_AUTHORIZED)


class AnonymousServer:
    """Lets everybody in; trace data is read and forgotten (XEP-0175 §3)."""

    def receive(self, message: bytes) -> Step:
        """Read the trace."""
        if len(message) > MAX_TRACE:
            return Failure(Condition.MALFORMED_REQUEST, "too much trace data")
        return Success()


class OneMessageClient:
    """The client's side of all three: one message, and nothing to check afterwards."""

    def __init__(self, message: bytes) -> None:
        self._message = message

    def first(self) -> bytes:
        """Return the message."""
        return self._message

    def receive(self, message: bytes) -> bytes:  # noqa: ARG002  # the interface of all mechanisms
        """Refuse: these mechanisms have no challenges."""
        raise MechanismError("an unexpected challenge")

    def finish(self, message: bytes | None) -> None:
        """Accept: these mechanisms do not prove the server."""


def plain_client(username: str, password: str) -> OneMessageClient:
    """Make the client's side of PLAIN."""
    if "\0" in username or "\0" in password:
        raise MechanismError("NUL in a user name or password")
    return OneMessageClient(f"\0{username}\0{password}".encode())
