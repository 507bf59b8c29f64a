"""SCRAM: both sides prove that they know the password's keys, and nobody on the line learns them.

Implements RFC 5802 and RFC 7677 (-SHA-512 by the same rule), channel binding by RFC 5929 and RFC 9266, and
the downgrade hash of XEP-0474. `docs/explanation/negotiation.md` says why this is not a library's work.
Left out: authorisation as another user than the one who logs in, and mandatory extensions (`m=`).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from tidings.base.errors import LocalProtocolError
from tidings.wire.xmpp.sasl.keys import (
    HASHES,
    MIN_ITERATIONS,
    PLUS,
    ScramKeys,
    ScramMechanism,
    derive,
    scram_of,
)
from tidings.wire.xmpp.sasl.offer import Offer, downgrade_hash
from tidings.wire.xmpp.sasl.prepare import PreparationError, prepare_password
from tidings.wire.xmpp.sasl.steps import (
    Challenge,
    Condition,
    Failure,
    MechanismError,
    NeedKeys,
    Step,
    Success,
)

MAX_ITERATIONS = 5_000_000
"""A server that asks a client for more rounds than this wants its time, not its proof."""
MAX_NONCE = 256


class ScramServer:
    """The server's side: client-first → NeedKeys → challenge → client-final → success.

    Every refusal after the keys were asked for reads the same, whatever was wrong.
    """

    def __init__(self, mechanism: str, *, offer: Offer, bindings: Mapping[str, bytes], nonce: str) -> None:
        self._base = _base_of(mechanism)
        self._plus = mechanism.endswith(PLUS)
        self._offer = offer
        self._bindings = bindings
        self._own_nonce = nonce
        self._nonce = ""
        self._channel_input = b""
        self._client_first = ""
        self._server_first = ""
        self._keys: ScramKeys | None = None
        self._genuine = False
        self.username = ""
        """Who the client says it is, as soon as it has said so."""

    @property
    def awaits_proof(self) -> bool:
        """Whether the client's next message is its proof."""
        return self._keys is not None

    def receive(self, message: bytes) -> Step:
        """Take the client's next message."""
        try:
            text = message.decode()
            return self._first(text) if self._keys is None else self._final(text, self._keys)
        except (_MalformedError, UnicodeDecodeError) as error:
            return Failure(
                Condition.MALFORMED_REQUEST, str(error) if isinstance(error, _MalformedError) else "not UTF-8"
            )

    def keys_found(self, keys: ScramKeys, *, genuine: bool) -> Step:
        """Take the keys; those that are not `genuine` lead to the same messages and never to success."""
        self._keys = keys
        self._genuine = genuine
        salt = base64.b64encode(keys.salt).decode("ascii")
        self._server_first = f"r={self._nonce},s={salt},i={keys.iterations}"
        self._server_first += f",h={downgrade_hash(self._offer, self._base)}"
        return Challenge(self._server_first.encode())

    def _first(self, text: str) -> Step:
        """Read client-first-message (RFC 5802 §7)."""
        if self._client_first:
            raise _MalformedError("a second first message")
        try:
            flag, authzid, bare = text.split(",", 2)
        except ValueError:
            raise _MalformedError("no GS2 header") from None
        self._channel_input = f"{flag},{authzid},".encode()
        attributes = _attributes(bare, "nr")
        self.username = _unescape(attributes["n"])
        refused = self._check_flag(flag)
        if refused:
            return refused
        if authzid and not authzid.startswith("a="):
            raise _MalformedError("the GS2 header has neither an authorization identity nor none")
        nonce = attributes["r"]
        if not _is_nonce(nonce):
            raise _MalformedError("the nonce is not printable ASCII of a sane length")
        self._nonce = nonce + self._own_nonce
        self._client_first = bare
        return NeedKeys(self.username, _unescape(authzid.removeprefix("a=")))

    def _check_flag(self, flag: str) -> Failure | None:
        """Check the channel-binding flag against what was offered (RFC 5802 §6)."""
        if flag.startswith("p="):
            if not self._plus:
                raise _MalformedError("channel binding without -PLUS")
            kind = flag.removeprefix("p=")
            if kind not in self._bindings:
                return Failure(
                    Condition.MALFORMED_REQUEST, "channel-binding type not supported on this stream"
                )
            self._channel_input += self._bindings[kind]
            return None
        if flag not in {"y", "n"} or self._plus:
            raise _MalformedError("the channel-binding flag does not fit the mechanism")
        if flag == "y" and self._offer.has_plus:  # somebody removed -PLUS from the list that the client saw
            return Failure(Condition.NOT_AUTHORIZED)
        return None

    def _final(self, text: str, keys: ScramKeys) -> Step:
        """Read client-final-message and check its proof (RFC 5802 §3)."""
        attributes = _attributes(text, "cr", last="p")
        name = HASHES[self._base]
        proof = _decode(attributes["p"])
        without_proof = text[: text.rindex(",p=")]
        signed = f"{self._client_first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(keys.stored_key, signed, name)
        if len(proof) != len(signature):
            raise _MalformedError("the proof has the wrong length")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        checks = (
            hmac.compare_digest(_decode(attributes["c"]), self._channel_input),
            hmac.compare_digest(attributes["r"].encode(), self._nonce.encode()),
            hmac.compare_digest(hashlib.new(name, client_key).digest(), keys.stored_key),
            self._genuine,
        )
        if not all(checks):
            return Failure(Condition.NOT_AUTHORIZED)
        server_signature = hmac.digest(keys.server_key, signed, name)
        return Success(b"v=" + base64.b64encode(server_signature))


class ScramClient:
    """The client's side: it believes no server that breaks the rules or cannot prove itself.

    `binding` is the channel binding to use (with a -PLUS mechanism); without one, `flag` says whether this
    client could have bound the channel and was not offered it ("y") or not ("n"). `needs_hash` refuses a
    server that does not prove the list of mechanisms by XEP-0474.
    """

    def __init__(
        self,
        mechanism: str,
        username: str,
        password: str,
        *,
        nonce: str,
        offer: Offer,
        binding: tuple[str, bytes] | None = None,
        flag: str = "n",
        needs_hash: bool = False,
    ) -> None:
        self._base = _base_of(mechanism)
        self._username = username
        self._password = password
        self._nonce = nonce
        self._offer = offer
        self._needs_hash = needs_hash
        kind, data = binding or ("", b"")
        self._gs2 = f"p={kind},," if binding else f"{flag},,"
        self._channel_input = self._gs2.encode() + data
        self._bare = f"n={_escape(username)},r={nonce}"
        self._expected: bytes | None = None
        self._verified = False

    def first(self) -> bytes:
        """Return client-first-message."""
        return f"{self._gs2}{self._bare}".encode()

    def receive(self, message: bytes) -> bytes:
        """Answer server-first with the proof, or server-final (sent as a challenge) with nothing.

        The proof goes only to a server that shows the same list of mechanisms as the stream (XEP-0474 §5.2).
        """
        if self._expected is not None:
            self.finish(message)
            return b""
        try:
            text = message.decode()
            attributes = _attributes(text, "rsi")
            salt, iterations = _decode(attributes["s"]), attributes["i"]
            password = prepare_password(self._password)
        except (_MalformedError, UnicodeDecodeError, PreparationError) as error:
            raise MechanismError(str(error)) from error
        nonce = attributes["r"]
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise MechanismError("the server did not continue our nonce")
        if not (iterations.isascii() and iterations.isdigit() and len(iterations) <= 9):
            raise MechanismError("the iteration count is not a sane number")
        if not MIN_ITERATIONS <= int(iterations) <= MAX_ITERATIONS:
            raise MechanismError("the iteration count is out of bounds")
        shown = attributes.get("h")
        if (shown or self._needs_hash) and shown != downgrade_hash(self._offer, self._base):
            raise MechanismError("somebody changed the list of mechanisms on its way")
        return self._prove(text, nonce, password, salt, int(iterations))

    def finish(self, message: bytes | None) -> None:
        """Check the server's signature; raise unless it knows our keys."""
        if self._verified and message is None:
            return
        if self._expected is None or message is None:
            raise MechanismError("the server did not prove that it knows the password's keys")
        if not hmac.compare_digest(message, b"v=" + base64.b64encode(self._expected)):
            raise MechanismError("the server's signature is wrong")
        self._verified = True

    def _prove(self, server_first: str, nonce: str, password: str, salt: bytes, iterations: int) -> bytes:
        name = HASHES[self._base]
        keys = derive(self._base, password, salt, iterations)
        without_proof = f"c={base64.b64encode(self._channel_input).decode('ascii')},r={nonce}"
        signed = f"{self._bare},{server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.new(name, keys.client_key).digest(), signed, name)
        proof = bytes(a ^ b for a, b in zip(keys.client_key, signature, strict=True))
        self._expected = hmac.digest(keys.server_key, signed, name)
        return f"{without_proof},p={base64.b64encode(proof).decode('ascii')}".encode()


def _base_of(mechanism: str) -> ScramMechanism:
    base = scram_of(mechanism)
    if base is None:
        raise LocalProtocolError(f"{mechanism} is not a SCRAM mechanism")
    return base


class _MalformedError(ValueError):
    """A message breaks the grammar of RFC 5802 §7."""


def _attributes(text: str, order: str, last: str = "") -> dict[str, str]:
    """Read `a=…,b=…`: the named attributes first and in order, extensions after them, `last` at the end."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name for name, _, _ in pairs]
    if any(len(name) != 1 or not name.isalpha() or not name.isascii() for name in names):
        raise _MalformedError("an attribute is not a letter, an equals sign and a value")
    if "m" in names or len(set(names)) != len(names):
        raise _MalformedError("an attribute is repeated, or a mandatory extension is not known here")
    if (
        "".join(names[: len(order)]) != order
        or (last and names[-1] != last)
        or any("\0" in v for _, _, v in pairs)
    ):
        raise _MalformedError("an attribute is missing or out of order")
    return {name: value for name, _, value in pairs}


def _is_nonce(nonce: str) -> bool:
    """Tell whether this is 1 to 256 printable ASCII characters; the comma is gone by now."""
    return 0 < len(nonce) <= MAX_NONCE and all("!" <= character <= "~" for character in nonce)


def _decode(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _MalformedError("not base64") from None


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


def _unescape(name: str) -> str:
    """Undo `_escape`; any other use of the equals sign is an error (RFC 5802 §5.1)."""
    pieces = name.split("=")
    if any(piece[:2] not in {"2C", "3D"} for piece in pieces[1:]):
        raise _MalformedError("an equals sign that escapes nothing")
    return pieces[0] + "".join(("," if piece.startswith("2C") else "=") + piece[2:] for piece in pieces[1:])
