"""Machine against machine: every way to log in, with both sides of this project wired back to back."""

from dataclasses import dataclass, field

import pytest

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import stream_error_element
from tidings.wire.xmpp.negotiation.client import ClientNegotiation
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings, DeviceToken, TlsWish
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.values import (
    Action,
    Authenticated,
    AuthenticationFailed,
    BindFailed,
    BindResource,
    CheckAccount,
    CheckPassword,
    CloseStream,
    Established,
    IssueToken,
    LoginFailed,
    LookUpKeys,
    LookUpTokens,
    NegotiateInline,
    OpenStream,
    Send,
    StartTls,
    TlsInfo,
    TokenReceived,
    TokenUsed,
    UserAgent,
)
from tidings.wire.xmpp.sasl.keys import make_scram_keys, verify_password
from tidings.wire.xmpp.sasl.tokens import issue_token

ALICE = Jid("alice@example.org")
SECRET = b"0123456789abcdef0123456789abcdef"
DEVICE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
TLS = TlsInfo(version="TLSv1.3", end_point=b"certificate", exporter=b"exported")
KEYS = make_scram_keys("secret", iterations=4096)
SCRAMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1")


@dataclass
class Pair:
    """A client and a server without anything between them; `tls` is what a handshake would find out."""

    settings: ClientSettings
    host: HostPolicy = field(default_factory=lambda: HostPolicy(domain="example.org", iterations=4096))
    server_tls: TlsInfo = TLS
    client_tls: TlsInfo = TLS
    direct_tls: bool = False
    keys: dict = field(default_factory=lambda: {ALICE: KEYS})
    tokens: list = field(default_factory=list)
    banned: str | None = None
    refuse: StanzaError | None = None
    resumes: Jid | None = None
    now: float = 1_000.0
    log: list[Action] = field(default_factory=list)
    sent: list[Element] = field(default_factory=list)
    client_log: list[Action] = field(default_factory=list)

    def run(self):
        """Negotiate until both sides have nothing more to say."""
        known = {self.host.domain: self.host}
        self.server = ServerNegotiation(StreamPolicy(host=known.get, secret=SECRET))
        self.client = ClientNegotiation(self.settings)
        if self.direct_tls:
            self.server.tls_established(self.server_tls)
            self.client.tls_established(self.client_tls)
        self.client.start()
        while True:
            actions = self.client.take()
            for action in actions:
                self.client_log.append(action)
                self._do_for_client(action)
            answers = self.server.take()
            for action in answers:
                self.log.append(action)
                self._do_for_server(action)
            if not actions and not answers:
                return self

    def _do_for_client(self, action):
        match action:
            case OpenStream(header):
                self.server.stream_opened(header)
            case Send(element):
                self.server.received(transmit(element))
            case CloseStream():
                self.server.stream_closed()
            case StartTls():
                self.server.tls_established(self.server_tls)
                self.client.tls_established(self.client_tls)

    def _do_for_server(self, action):
        match action:
            case OpenStream(header):
                self.client.stream_opened(header)
            case Send(element):
                self.sent.append(element)
                self.client.received(transmit(element))
            case CloseStream(error):
                if error is not None:
                    self.client.received(transmit(stream_error_element(error)))
                self.client.stream_closed()
            case LookUpKeys() | CheckPassword() | CheckAccount() | LookUpTokens():
                self._answer_login(action)
            case IssueToken(account, device, mechanism):
                text, stored = issue_token(SECRET, account, device, mechanism, self.now + 86_400 * 21)
                self.tokens.insert(0, stored)
                self.server.token_issued(text, format_utc(stored.expires))
            case NegotiateInline():
                self.server.inline_answered([Element("failed", ns.SM)], resumed=self.resumes)
            case BindResource(account=account, resource=resource, inline=inline):
                if self.refuse:
                    self.server.refused(self.refuse)
                else:
                    self.server.bound(
                        account.with_resource(resource),
                        [Element("enabled", each.namespace) for each in inline],
                    )

    def _answer_login(self, question):
        match question:
            case LookUpKeys(account):
                self.server.keys_found(self.keys.get(account), banned=self.banned)
            case CheckPassword(account, password):
                right = verify_password(password, self.keys.get(account), 4096)
                self.server.checked(right, banned=self.banned)
            case CheckAccount(account):
                self.server.checked(account in self.keys, banned=self.banned)
            case LookUpTokens(_, device):
                found = [token for token in self.tokens if token.device == device]
                self.server.tokens_found(found, now=self.now, banned=self.banned)

    def of(self, kind, *, client=False):
        """Give the actions of this type."""
        return [action for action in (self.client_log if client else self.log) if isinstance(action, kind)]

    def only(self, kind, *, client=False):
        """Give the one action of this type."""
        (action,) = self.of(kind, client=client)
        return action


def transmit(element):
    """Send an element through bytes, as a stream does."""
    return decode(element.to_bytes(ns.CLIENT), ns.CLIENT)


def settings(**changes):
    """Give the settings of alice."""
    return ClientSettings(**({"domain": "example.org", "account": ALICE, "password": "secret"} | changes))


def host(**changes):
    """Give the policy of example.org."""
    return HostPolicy(**({"domain": "example.org", "iterations": 4096} | changes))


def open_host(**changes):
    """Give the policy of a host that allows everything in plain text, as the interop profile does."""
    return host(**({"tls_required": False, "tls_available": False, "plain_without_tls": True} | changes))


def assert_established(pair, jid_of=ALICE):
    """Both sides agree on the session."""
    ours, theirs = pair.only(Established), pair.only(Established, client=True)
    assert ours.jid == theirs.jid
    assert ours.jid.bare == jid_of
    assert ours.jid.resource
    assert pair.server.jid == ours.jid
    assert not pair.server.waiting


WAYS = [
    (mechanism, channel)
    for mechanism in (*SCRAMS, *(name + "-PLUS" for name in SCRAMS), "PLAIN")
    for channel in ("plain", "starttls", "direct", "proxy")
    if not mechanism.endswith("-PLUS") or channel in {"starttls", "direct"}  # there is something to bind to
]


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
@pytest.mark.parametrize(("mechanism", "channel"), WAYS)
def test_every_way_to_log_in_with_a_password(mechanism, channel, use_sasl2):
    blind = TlsInfo()
    pair = Pair(
        settings(
            use_sasl2=use_sasl2,
            mechanisms=(mechanism,),
            tls=TlsWish.NEVER if channel == "plain" else TlsWish.REQUIRED,
            plain_without_tls=channel == "plain",
        ),
        host=open_host() if channel == "plain" else host(),
        direct_tls=channel in {"direct", "proxy"},
        server_tls=blind if channel == "proxy" else TLS,
        client_tls=blind if channel == "proxy" else TLS,
    ).run()
    assert_established(pair)
    login = pair.only(Authenticated)
    assert (login.account, login.mechanism, login.anonymous) == (ALICE, mechanism, False)
    assert pair.server.account == ALICE
    assert bool(pair.of(StartTls)) == (channel == "starttls")


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
def test_the_strongest_is_chosen(use_sasl2):
    pair = Pair(settings(use_sasl2=use_sasl2)).run()
    assert pair.only(Authenticated).mechanism == "SCRAM-SHA-512-PLUS"


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
def test_end_point_where_there_is_no_exporter(use_sasl2):
    weak = TlsInfo(end_point=b"certificate")
    pair = Pair(settings(use_sasl2=use_sasl2), server_tls=weak, client_tls=TLS).run()
    assert_established(pair)
    assert pair.only(Authenticated).mechanism == "SCRAM-SHA-512-PLUS"


def test_no_channel_binding_in_common_is_settled_by_the_hash():
    pair = Pair(settings(), server_tls=TlsInfo(exporter=b"x"), client_tls=TlsInfo(end_point=b"y")).run()
    assert_established(pair)
    assert pair.only(Authenticated).mechanism == "SCRAM-SHA-512"


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
@pytest.mark.parametrize("mechanism", [*SCRAMS, "SCRAM-SHA-256-PLUS", "PLAIN"])
@pytest.mark.parametrize("account", ["alice", "nobody", "Ålice"])
def test_wrong_password_and_unknown_user_look_alike(mechanism, use_sasl2, account):
    who = settings(
        account=Jid.of(account, "example.org"), password="wrong", mechanisms=(mechanism,), use_sasl2=use_sasl2
    )
    pair = Pair(who).run()
    assert pair.only(LoginFailed, client=True) == LoginFailed("not-authorized")
    assert pair.only(AuthenticationFailed).condition == "not-authorized"
    assert not pair.of(Authenticated)
    profile = ns.SASL2 if use_sasl2 else ns.SASL
    assert Element("failure", profile, None, Element("not-authorized", ns.SASL)) in pair.sent


def test_an_account_without_keys_for_the_mechanism_looks_like_a_wrong_password():
    sha1 = make_scram_keys("secret", ("SCRAM-SHA-1",), 4096)
    pair = Pair(settings(mechanisms=("SCRAM-SHA-256",)), keys={ALICE: sha1}).run()
    assert pair.only(LoginFailed, client=True).condition == "not-authorized"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize(
    ("password", "condition"), [("secret", "account-disabled"), ("wrong", "not-authorized")]
)
def test_a_ban_is_told_to_the_owner_only(mechanism, password, condition):
    pair = Pair(settings(mechanisms=(mechanism,), password=password), banned="spam").run()
    failed = pair.only(LoginFailed, client=True)
    assert failed == LoginFailed(condition, "spam" if password == "secret" else "")


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
def test_an_impostor_between_both_is_noticed(use_sasl2):
    """Both sides have a channel, but not the same one."""
    elsewhere = TlsInfo(end_point=b"another certificate", exporter=b"another export")
    pair = Pair(settings(use_sasl2=use_sasl2), client_tls=elsewhere).run()
    assert pair.only(LoginFailed, client=True).condition == "not-authorized"
    assert not pair.of(Authenticated)


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
def test_anonymous(use_sasl2):
    pair = Pair(
        settings(account=None, password="", use_sasl2=use_sasl2), host=host(mechanisms=("ANONYMOUS",))
    ).run()
    login = pair.only(Authenticated)
    assert login.anonymous
    assert_established(pair, login.account)
    assert login.account.domain == "example.org"


def test_two_anonymous_users_are_two():
    both = [
        Pair(settings(account=None), host=host(mechanisms=("ANONYMOUS",))).run().server.account
        for _ in range(2)
    ]
    assert both[0] != both[1]


@pytest.mark.parametrize("use_sasl2", [False, True], ids=["sasl", "sasl2"])
def test_external(use_sasl2):
    certificate = TlsInfo(end_point=b"c", peer_identities=(str(ALICE), "alice@elsewhere.example"))
    who = settings(external=True, password="", use_sasl2=use_sasl2)
    pair = Pair(who, server_tls=certificate, client_tls=TlsInfo(end_point=b"c")).run()
    assert_established(pair)
    assert pair.only(Authenticated).mechanism == "EXTERNAL"
    assert pair.only(CheckAccount).account == ALICE


def test_external_for_an_account_that_does_not_exist():
    certificate = TlsInfo(peer_identities=("ghost@example.org",))
    who = settings(account=Jid("ghost@example.org"), external=True)
    pair = Pair(who, server_tls=certificate, client_tls=TlsInfo()).run()
    assert pair.only(LoginFailed, client=True).condition == "not-authorized"


def test_external_is_not_offered_to_strangers():
    certificate = TlsInfo(peer_identities=("alice@elsewhere.example",))
    pair = Pair(settings(external=True), server_tls=certificate, client_tls=TlsInfo()).run()
    assert pair.only(Authenticated).mechanism == "SCRAM-SHA-512"


# --- what a client refuses


def test_no_password_in_plain_text():
    pair = Pair(settings(tls=TlsWish.NEVER, mechanisms=("PLAIN",)), host=open_host()).run()
    assert pair.only(LoginFailed, client=True).condition == "mechanism-too-weak"
    assert not pair.of(CheckPassword)


def test_no_stream_without_tls_where_it_is_required():
    pair = Pair(settings(), host=open_host()).run()
    assert pair.only(LoginFailed, client=True).condition == "encryption-required"
    assert not pair.of(Authenticated)


def test_tls_where_it_is_offered():
    assert Pair(settings(tls=TlsWish.OFFERED)).run().of(StartTls)
    assert_established(Pair(settings(tls=TlsWish.OFFERED), host=open_host()).run())


def test_nothing_in_common():
    pair = Pair(settings(mechanisms=("SCRAM-SHA-1",)), host=host(mechanisms=("SCRAM-SHA-256",))).run()
    assert pair.only(LoginFailed, client=True).condition == "mechanism-too-weak"


def test_a_plain_stream_does_not_tell_who_comes():
    opened = [action.header.sender for action in Pair(settings()).run().of(OpenStream, client=True)]
    assert opened == ["", ALICE]


# --- the session


def test_a_chosen_resource():
    pair = Pair(settings(resource="Balcony", use_sasl2=False)).run()
    assert_established(pair)
    assert pair.only(BindResource).chosen
    assert pair.server.jid.resource == "Balcony"


def test_a_tag_of_bind2():
    pair = Pair(settings(resource="Balcony", user_agent=UserAgent(DEVICE, "Chat", "Phone"))).run()
    assert_established(pair)
    asked = pair.only(BindResource)
    assert asked.resource.startswith("Balcony/~")
    assert not asked.chosen
    assert asked.user_agent == UserAgent(DEVICE, "Chat", "Phone")
    assert DEVICE not in asked.resource


def test_features_with_the_session():
    wishes = (Element("enable", ns.CARBONS), Element("inactive", ns.CSI))
    pair = Pair(settings(bind2_inline=wishes), host=host(bind2_inline=(ns.CARBONS, ns.CSI))).run()
    assert pair.only(BindResource).inline == wishes
    answers = pair.only(Established, client=True).inline
    assert [each.namespace for each in answers] == [ns.CARBONS, ns.CSI]


def test_a_session_that_is_refused():
    for use_sasl2 in (False, True):
        pair = Pair(
            settings(use_sasl2=use_sasl2), refuse=StanzaError("resource-constraint", "too many")
        ).run()
        assert not pair.of(Established)
    assert pair.only(CloseStream).error.condition == "resource-constraint"
    pair = Pair(settings(use_sasl2=False), refuse=StanzaError("conflict", "taken")).run()
    assert pair.only(BindFailed, client=True) == BindFailed("conflict", "taken")


@pytest.mark.parametrize("resumes", [None, Jid("alice@example.org/before")])
def test_resumption_comes_before_binding(resumes):
    wish = Element("resume", ns.SM, {"previd": "x", "h": "0"})
    policy = host(sasl2_inline=(Element("sm", ns.SM),))
    pair = Pair(settings(sasl2_inline=(wish,)), host=policy, resumes=resumes).run()
    assert pair.only(NegotiateInline).elements == (wish,)
    assert_established(pair)
    assert pair.only(Established).resumed == (resumes is not None)
    assert bool(pair.of(BindResource)) == (resumes is None)
    assert pair.only(Established, client=True).inline[0] == Element("failed", ns.SM)


# --- tokens

AGENT = UserAgent(DEVICE, "Chat", "Phone")


def first_log_in(**changes):
    """Log in with a password and get a token; give the token and what the server stored."""
    pair = Pair(settings(want_token=True, user_agent=AGENT, **changes)).run()
    assert_established(pair)
    got = pair.only(TokenReceived, client=True)
    return DeviceToken(got.mechanism, got.token), pair.tokens


def test_a_token_instead_of_the_password():
    token, stored = first_log_in()
    assert token.mechanism == "HT-SHA-256-EXPR"
    pair = Pair(settings(token=token, password="", user_agent=AGENT), tokens=stored).run()
    assert_established(pair)
    assert pair.only(Authenticated).mechanism == "HT-SHA-256-EXPR"
    assert pair.only(TokenUsed) == TokenUsed(ALICE, stored[0], None, invalidate=False)
    assert not pair.of(IssueToken)
    assert pair.only(Authenticated).user_agent == AGENT


def test_a_token_that_ends_soon_is_replaced():
    token, stored = first_log_in()
    pair = Pair(settings(token=token, user_agent=AGENT), tokens=stored, now=1_000.0 + 86_400 * 20).run()
    assert_established(pair)
    replaced = pair.only(TokenReceived, client=True)
    assert replaced.mechanism == token.mechanism
    assert replaced.token != token.token


def test_a_token_that_is_invalidated_is_not_replaced():
    token, stored = first_log_in()
    spent = DeviceToken(token.mechanism, token.token, invalidate=True)
    pair = Pair(settings(token=spent, user_agent=AGENT), tokens=stored, now=1_000.0 + 86_400 * 20).run()
    assert_established(pair)
    assert pair.only(TokenUsed).invalidate
    assert not pair.of(IssueToken)


def test_after_an_expired_token_comes_the_password():
    token, stored = first_log_in()
    pair = Pair(settings(token=token, user_agent=AGENT), tokens=stored, now=1_000.0 + 86_400 * 30).run()
    assert pair.only(LoginFailed, client=True).condition == "credentials-expired"
    assert_established(pair)
    assert pair.only(Authenticated).mechanism == "SCRAM-SHA-512-PLUS"


def test_a_stolen_token_is_worth_nothing_on_another_device_or_channel():
    token, stored = first_log_in()
    thief = UserAgent("11111111-4d72-4749-b3d3-740edbf87770")
    for pair in (
        Pair(settings(token=token, password="", user_agent=thief), tokens=stored),
        Pair(
            settings(token=token, password="", user_agent=AGENT),
            tokens=stored,
            client_tls=TlsInfo(exporter=b"!"),
        ),
    ):
        assert pair.run().only(LoginFailed, client=True).condition == "not-authorized"


def test_a_banned_account_does_not_get_in_by_token():
    token, stored = first_log_in()
    pair = Pair(settings(token=token, password="", user_agent=AGENT), tokens=stored, banned="spam").run()
    assert pair.only(LoginFailed, client=True) == LoginFailed("account-disabled", "spam")
    assert not pair.of(TokenUsed)


def test_tokens_in_plain_text_only_where_the_policy_says_so():
    plain = {"tls": TlsWish.NEVER, "plain_without_tls": True}
    who = settings(want_token=True, user_agent=AGENT, **plain)
    pair = Pair(who, host=open_host()).run()
    got = pair.only(TokenReceived, client=True)
    assert got.mechanism == "HT-SHA-256-NONE"
    again = settings(token=DeviceToken(got.mechanism, got.token), password="", user_agent=AGENT, **plain)
    assert_established(Pair(again, host=open_host(), tokens=pair.tokens).run())
    assert not Pair(who, host=open_host(plain_without_tls=False)).run().of(IssueToken)


def test_anonymous_users_get_no_tokens():
    who = settings(account=None, want_token=True, user_agent=AGENT)
    assert not Pair(who, host=host(mechanisms=("ANONYMOUS",))).run().of(IssueToken)
