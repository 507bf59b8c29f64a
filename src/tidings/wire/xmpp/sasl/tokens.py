"""Tokens that a device logs in with instead of a password (FAST), and their mechanisms HT-SHA-256-*.

Implements XEP-0484 (its checks; the stream side is in `negotiation`) and draft-schmaus-kitten-sasl-ht-09.

A token is HMAC(server secret, account, device, mechanism, nonce). The database keeps the nonce and the
token's hash, but neither the token nor the secret (which is a file of the server), so that a copy of it lets
nobody in; the server computes the token again when a device proves that it has it. A new secret ends all
tokens. The nonce is random, so a token of a removed account or device never comes to life again with the
next one of that name.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tidings.wire.xmpp.sasl.offer import END_POINT, EXPORTER
from tidings.wire.xmpp.sasl.steps import Condition, Failure, MechanismError, NeedTokens, Step, Success

HT_MECHANISMS: Final[dict[str, str | None]] = {
    "HT-SHA-256-EXPR": EXPORTER,
    "HT-SHA-256-ENDP": END_POINT,
    "HT-SHA-256-NONE": None,
}
"""The token mechanisms, strongest first, and the channel-binding type that each needs."""

_HASH = "sha256"
_NONCE_OCTETS = 16


class FastToken(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a token: enough to check it with the server's secret, nothing to log in with."""

    device: str
    """The id of the user agent that the token was given to."""
    mechanism: str
    """The one mechanism that it is good for."""
    digest: bytes
    """The nonce (16 octets) and SHA-256 of the token: what verifies it, opaque to a store."""
    expires: float
    """UTC seconds since the epoch."""
    count: int = 0
    """The highest count used with it (XEP-0484 §3.4), where a store keeps it: it matters for 0-RTT only."""

    def __repr__(self) -> str:
        return f"FastToken({self.device!r}, {self.mechanism}, expires={self.expires})"


def issue_token(
    secret: bytes, account: str, device: str, mechanism: str, expires: float
) -> tuple[str, FastToken]:
    """Make a new token: the text for the client and the value to store."""
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    token = derive_token(secret, account, device, mechanism, nonce)
    digest = nonce + hashlib.sha256(token.encode()).digest()
    return token, FastToken(device=device, mechanism=mechanism, digest=digest, expires=expires)


def derive_token(secret: bytes, account: str, device: str, mechanism: str, nonce: bytes) -> str:
    """Compute the token that this nonce stands for; only the holder of the secret can."""
    parts = [b"fast token", account.encode(), device.encode(), mechanism.encode(), nonce]
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return base64.urlsafe_b64encode(hmac.digest(secret, framed, _HASH)).rstrip(b"=").decode("ascii")


class TokenServer:
    """The server's side: one message that proves the token, one that proves the server."""

    def __init__(
        self, mechanism: str, *, bindings: Mapping[str, bytes], device: str, count: int | None
    ) -> None:
        kind = HT_MECHANISMS[mechanism]
        self._mechanism = mechanism
        self._binding = bindings[kind] if kind else b""
        self._device = device
        self._count = count
        self._proof = b""
        self.username = ""
        """Who the client says it is, as soon as it has said so."""
        self.used: FastToken | None = None
        """The token that was proved, after success."""

    def receive(self, message: bytes) -> Step:
        """Read `authcid NUL HMAC(token, "Initiator" || channel binding)`."""
        name, separator, self._proof = message.partition(b"\0")
        try:
            self.username = name.decode()
        except UnicodeDecodeError:
            return Failure(Condition.MALFORMED_REQUEST, "not UTF-8")
        if not separator or not self.username or not self._proof:
            return Failure(Condition.MALFORMED_REQUEST, "a token message has a name and a proof")
        return NeedTokens(self.username)

    def tokens_found(self, tokens: Sequence[FastToken], secret: bytes, account: str, now: float) -> Step:
        """Take the stored tokens of the account's device and check them all."""
        refused = Failure(Condition.NOT_AUTHORIZED)
        for token in tokens:
            key = derive_token(
                secret, account, token.device, token.mechanism, token.digest[:_NONCE_OCTETS]
            ).encode()
            if not self._is_proved(token, key):
                continue
            if token.expires <= now:
                refused = Failure(Condition.CREDENTIALS_EXPIRED)
            elif self._count is None or self._count > token.count:  # a count seen before is a replay
                self.used = token
                return Success(hmac.digest(key, b"Responder" + self._binding, _HASH))
        return refused

    def _is_proved(self, token: FastToken, key: bytes) -> bool:
        expected = hmac.digest(key, b"Initiator" + self._binding, _HASH)
        checks = (
            hmac.compare_digest(expected, self._proof),
            hmac.compare_digest(hashlib.sha256(key).digest(), token.digest[_NONCE_OCTETS:]),
            token.mechanism == self._mechanism,
            token.device == self._device,
        )
        return all(checks)


class TokenClient:
    """The client's side of the token mechanisms."""

    def __init__(self, username: str, token: str, binding: bytes = b"") -> None:
        self._username = username
        self._token = token.encode()
        self._binding = binding

    def first(self) -> bytes:
        """Return the proof of the token."""
        proof = hmac.digest(self._token, b"Initiator" + self._binding, _HASH)
        return self._username.encode() + b"\0" + proof

    def receive(self, message: bytes) -> bytes:  # noqa: ARG002  # the interface of all mechanisms
        """Refuse: these mechanisms have no challenges."""
        raise MechanismError("an unexpected challenge")

    def finish(self, message: bytes | None) -> None:
        """Check that the server knows the token, too."""
        expected = hmac.digest(self._token, b"Responder" + self._binding, _HASH)
        if message is None or not hmac.compare_digest(message, expected):
            raise MechanismError("the server did not prove that it knows the token")
