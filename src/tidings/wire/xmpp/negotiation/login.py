"""One attempt to log in, from the request to success or failure: mechanisms meet accounts here.

Whatever is wrong with name or password, the client is told the same (RFC 6120 §6.5.10); what an unknown
account shows is made from the server's secret. That an account is banned is told only to its proven owner.
"""

from collections.abc import Sequence
from typing import TypeAlias
from uuid import uuid4

from tidings.base.errors import LocalProtocolError
from tidings.base.jid import Jid, JidError
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import LoginRefusedError
from tidings.wire.xmpp.negotiation.features import (
    external_identities,
    is_private_enough,
    token_mechanisms_for,
)
from tidings.wire.xmpp.negotiation.policy import HostPolicy
from tidings.wire.xmpp.negotiation.requests import LoginRequest
from tidings.wire.xmpp.negotiation.values import (
    CheckAccount,
    CheckPassword,
    LookUpKeys,
    LookUpTokens,
    TlsInfo,
)
from tidings.wire.xmpp.sasl.keys import ScramKeys, fake_keys, scram_of
from tidings.wire.xmpp.sasl.offer import Offer
from tidings.wire.xmpp.sasl.scram import ScramServer
from tidings.wire.xmpp.sasl.simple import (
    ANONYMOUS,
    EXTERNAL,
    PLAIN,
    AnonymousServer,
    ExternalServer,
    PlainServer,
)
from tidings.wire.xmpp.sasl.steps import (
    Challenge,
    Condition,
    Failure,
    NeedAccount,
    NeedKeys,
    NeedPassword,
    NeedTokens,
    Step,
    Success,
)
from tidings.wire.xmpp.sasl.tokens import HT_MECHANISMS, FastToken, TokenServer

ServerMechanism: TypeAlias = ScramServer | PlainServer | ExternalServer | AnonymousServer | TokenServer
Outcome: TypeAlias = Challenge | LookUpKeys | CheckPassword | CheckAccount | LookUpTokens | Success | Failure
"""What an attempt comes to next: something to send, something to ask, or the end."""


class Login:
    """Runs one mechanism for one request; `account` is who the client is, once it has said so."""

    def __init__(
        self,
        request: LoginRequest,
        host: HostPolicy,
        *,
        offer: Offer,
        tls: TlsInfo | None,
        secret: bytes,
        claimed: Jid | None,
        nonce: str,
    ) -> None:
        self.request = request
        self.account: Jid | None = None
        self.is_looked_at = False
        """Whether a secret of the account decides from here on."""
        self._host = host
        self._offer = offer
        self._tls = tls
        self._secret = secret
        self._claimed = claimed
        self._banned: str | None = None
        self._mechanism = self._make(nonce)

    @property
    def anonymous(self) -> bool:
        """True if the account is made up."""
        return self.request.mechanism == ANONYMOUS

    @property
    def name(self) -> str:
        """Who the client says it is, for logs: an account, or what it wrote instead."""
        if self.account is not None:
            return str(self.account)
        if isinstance(self._mechanism, ScramServer | PlainServer | TokenServer):
            return self._mechanism.username[:_LONGEST_NAME]
        return ""

    @property
    def proves_next(self) -> bool:
        """Whether the next response is looked at without another question: the proof of SCRAM."""
        return isinstance(self._mechanism, ScramServer) and self._mechanism.awaits_proof

    @property
    def token_used(self) -> FastToken | None:
        """The token that the client has proved, if it logged in with one."""
        return self._mechanism.used if isinstance(self._mechanism, TokenServer) else None

    def start(self) -> Outcome:
        """Take the initial response; without one, ask for it (RFC 4422 §5.1)."""
        if self.request.initial is not None:
            return self.respond(self.request.initial)
        if self.anonymous:  # XEP-0175 §4 shows it without initial response
            return self.respond(b"")
        return Challenge(b"")

    def respond(self, data: bytes) -> Outcome:
        """Take the client's next message."""
        return self._resolve(self._mechanism.receive(data))

    def keys_found(self, keys: Sequence[ScramKeys] | None, banned: str | None) -> Outcome:
        """Take the answer to `LookUpKeys`."""
        if not isinstance(self._mechanism, ScramServer) or self.account is None:
            raise LocalProtocolError("no keys were asked for")
        self._banned = banned
        name = scram_of(self.request.mechanism)
        found = next((each for each in keys or () if each.mechanism == name), None)
        return self._go_on_with(found, str(self.account))

    def checked(self, *, accepted: bool, banned: str | None) -> Outcome:
        """Take the answer to `CheckPassword` or `CheckAccount`."""
        if not isinstance(self._mechanism, PlainServer | ExternalServer):
            raise LocalProtocolError("nothing was to be checked")
        self._banned = banned
        return self._resolve(self._mechanism.checked(accepted=accepted))

    def tokens_found(self, tokens: Sequence[FastToken], now: float, banned: str | None) -> Outcome:
        """Take the answer to `LookUpTokens`."""
        if not isinstance(self._mechanism, TokenServer) or self.account is None:
            raise LocalProtocolError("no tokens were asked for")
        self._banned = banned
        return self._resolve(self._mechanism.tokens_found(tokens, self._secret, self.account, now))

    def _make(self, nonce: str) -> ServerMechanism:
        """Make the mechanism that the client chose, if it was on offer."""
        name = self.request.mechanism
        bindings = self._tls.bindings if self._tls else {}
        if name in self._token_mechanisms():
            use = self.request.token_use
            if use is None or not self.request.user_agent.id:
                text = "a token needs <fast/> and the id of the user agent"
                raise LoginRefusedError(Condition.MALFORMED_REQUEST, text)
            return TokenServer(name, bindings=bindings, device=self.request.user_agent.id, count=use.count)
        if name not in self._offer.mechanisms:
            raise LoginRefusedError(self._why_not(name), f"{name[:40]} is not offered here")
        if name == PLAIN:
            return PlainServer()
        if name == EXTERNAL:
            return ExternalServer(external_identities(self._host, self._tls))
        if name == ANONYMOUS:
            return AnonymousServer()
        return ScramServer(name, offer=self._offer, bindings=bindings, nonce=nonce)

    def _token_mechanisms(self) -> tuple[str, ...]:
        return token_mechanisms_for(self._host, self._tls) if self.request.profile == ns.SASL2 else ()

    def _why_not(self, name: str) -> Condition:
        """Tell why a mechanism is not on offer (RFC 6120 §6.5)."""
        insecure = not is_private_enough(self._host, self._tls)
        if insecure and (name == PLAIN or name in HT_MECHANISMS) and name in self._known():
            return Condition.ENCRYPTION_REQUIRED
        if self._tls is None and self._host.tls_required:
            return Condition.ENCRYPTION_REQUIRED
        if (name == PLAIN or scram_of(name)) and name not in self._known():
            return Condition.MECHANISM_TOO_WEAK
        return Condition.INVALID_MECHANISM

    def _known(self) -> tuple[str, ...]:
        return self._host.mechanisms + self._host.token_mechanisms

    def _resolve(self, step: Step) -> Outcome:
        """Turn what the mechanism wants into a question about an account."""
        match step:
            case NeedKeys(username, authzid):
                self.is_looked_at = True
                return self._claim(username, authzid) or self._ask_for_keys(username)
            case NeedPassword(username, authzid, password):
                self.is_looked_at = True
                refused = self._claim(username, authzid)
                return refused or (CheckPassword(self.account, password) if self.account else _NOBODY)
            case NeedTokens(username):
                self.is_looked_at = True
                refused = self._claim(username, "")
                device = self.request.user_agent.id
                return refused or (LookUpTokens(self.account, device) if self.account else _NOBODY)
            case NeedAccount(authzid):
                return self._claim_certified(authzid) or (
                    CheckAccount(self.account) if self.account else _NOBODY
                )
            case Success() if self._banned is not None:
                return Failure(Condition.ACCOUNT_DISABLED, self._banned)
            case Failure():
                if self.account is None and self.name:  # for the log alone
                    self.account = _account(self.name, self._host.domain)
                return step
            case Success() if self.anonymous:
                self.account = Jid.of(str(uuid4()), self._host.domain)  # XEP-0175 §3
                return step
            case _:
                return step

    def _ask_for_keys(self, username: str) -> Outcome:
        """Ask for keys, or go on with false ones where no account can have that name."""
        return LookUpKeys(self.account) if self.account else self._go_on_with(None, username)

    def _go_on_with(self, keys: ScramKeys | None, username: str) -> Outcome:
        name = scram_of(self.request.mechanism)
        if not isinstance(self._mechanism, ScramServer) or name is None:
            raise LocalProtocolError("only SCRAM works with keys")
        shown = keys or fake_keys(self._secret, username, name, self._host.iterations)
        return self._resolve(self._mechanism.keys_found(shown, genuine=keys is not None))

    def _claim(self, username: str, authzid: str) -> Failure | None:
        """Note who the client says it is; an authzid may name nobody else, and must fit the stream."""
        self.account = _account(username, self._host.domain)
        if authzid and _jid(authzid) != self.account:
            return Failure(Condition.INVALID_AUTHZID, "log in as yourself")
        return self._check_claim() if authzid else None

    def _claim_certified(self, authzid: str) -> Failure | None:
        """Note the account that the certificate is for (XEP-0178 §2)."""
        self.account = _jid(authzid)
        certified = {_jid(identity) for identity in external_identities(self._host, self._tls)}
        if self.account is None or self.account not in certified:
            self.account = None
            return Failure(Condition.INVALID_AUTHZID, "the certificate is not for this address")
        return self._check_claim()

    def _check_claim(self) -> Failure | None:
        """Compare the authzid with the `from` of the stream, which alone says nothing (XEP-0388 §2.4)."""
        if self._claimed is None or self._claimed == self.account:
            return None
        return Failure(Condition.INVALID_AUTHZID, "the stream was opened from another address")


_LONGEST_NAME = 100
_NOBODY = Failure(Condition.NOT_AUTHORIZED)


def _account(username: str, domain: str) -> Jid | None:
    """Give the account of this name, or None where it cannot be one's."""
    try:
        return Jid.of(username, domain)
    except JidError:
        return None


def _jid(text: str) -> Jid | None:
    """Read a bare JID of an account, or None where it is not one."""
    try:
        jid = Jid(text)
    except JidError:
        return None
    return jid if jid.local and not jid.resource else None
