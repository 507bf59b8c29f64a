"""The server's side, driven by hand: the documents' examples and what a client could do wrong."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.base.errors import LocalProtocolError, StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.machine import Go, Ignore, Misuse, Refuse
from tidings.wire.xmpp.negotiation.policy import HostPolicy, StreamPolicy
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.server_login import ServerLoginPhase
from tidings.wire.xmpp.negotiation.server_opening import ServerOpeningPhase
from tidings.wire.xmpp.negotiation.server_session import ServerSessionPhase
from tidings.wire.xmpp.negotiation.server_table import (
    ANSWERS,
    SERVER_TABLE,
    WAITING,
    ServerInput,
    ServerStreamState,
)
from tidings.wire.xmpp.negotiation.values import (
    Authenticated,
    AuthenticationFailed,
    BindResource,
    CheckAccount,
    CheckPassword,
    CloseStream,
    Established,
    IssueToken,
    LookUpKeys,
    LookUpTokens,
    NegotiateInline,
    OpenStream,
    RegistrationRequest,
    RestartStream,
    Send,
    StartTls,
    StreamHeader,
    TlsInfo,
)
from tidings.wire.xmpp.payloads.stream_limits import StreamLimits
from tidings.wire.xmpp.payloads.stream_management import Failed
from tidings.wire.xmpp.sasl.keys import make_scram_keys

JULIET = Jid("juliet@im.example.com")
TLS = TlsInfo(end_point=b"certificate", exporter=b"exported")
KEYS = make_scram_keys("r0m30myr0m30", iterations=4096)
PHASES = {"opening": ServerOpeningPhase, "login": ServerLoginPhase, "session": ServerSessionPhase}
DEVICE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
ASK_TLS = f"<starttls xmlns='{ns.TLS}'/>"
BIND = f"<iq id='1' type='set'><bind xmlns='{ns.BIND}'/></iq>"
SESSION = f"<iq id='2' type='set'><session xmlns='{ns.SESSION}'/></iq>"
REGISTER = f"<iq id='3' type='get'><query xmlns='{ns.REGISTER}'/></iq>"
MESSAGE = "<message to='romeo@example.net'><body>hi</body></message>"


def encode(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def auth(text, mechanism="PLAIN"):
    return f"<auth xmlns='{ns.SASL}' mechanism='{mechanism}'>{text}</auth>"


def authenticate(text, mechanism="PLAIN", more=""):
    first = "" if text is None else f"<initial-response>{text}</initial-response>"
    return f"<authenticate xmlns='{ns.SASL2}' mechanism='{mechanism}'>{first}{more}</authenticate>"


PLAIN = encode("\0juliet\0r0m30myr0m30")


class Stream:
    """A server's machine and what came out of it."""

    def __init__(self, tls=None, *, starttls=True, attempts=3, **host):
        self.host = HostPolicy(**({"domain": "im.example.com", "iterations": 4096} | host))
        policy = StreamPolicy(
            host={self.host.domain: self.host}.get,
            secret=b"s" * 32,
            starttls=starttls,
            default_domain="im.example.com",
            max_login_attempts=attempts,
        )
        tokens = iter(f"token{number}" for number in range(1000))
        self.machine = ServerNegotiation(policy, make_token=lambda: next(tokens))
        self.actions = []
        if tls:
            self.machine.tls_established(tls)

    def open(self, to="im.example.com", **header):
        self.machine.stream_opened(StreamHeader(to=to, **header))
        return self

    def feed(self, *elements):
        """Feed elements; give the actions that the last one led to."""
        for element in elements:
            self.actions += self.machine.take()
            self.machine.received(
                decode(element.encode(), ns.CLIENT) if isinstance(element, str) else element
            )
        return self.take()

    def take(self):
        actions = self.machine.take()
        self.actions += actions
        return actions

    @property
    def sent(self):
        return [action.element for action in self.actions if isinstance(action, Send)]

    @property
    def features(self):
        self.take()
        return [element for element in self.sent if element.name == "features"][-1]

    @property
    def error(self):
        """The condition that the stream was closed with."""
        self.take()
        assert self.machine.closed
        assert isinstance(self.actions[-1], CloseStream)
        return self.actions[-1].error and self.actions[-1].error.condition


def opened(tls=TLS, **options):
    stream = Stream(tls, **options).open()
    stream.take()
    return stream


def logged_in(request=None, **options):
    """A stream with a log-in behind it."""
    stream = opened(**options)
    stream.feed(request or auth(PLAIN))
    stream.machine.checked(True)
    stream.take()
    return stream


def established():
    stream = logged_in().open()
    stream.feed(BIND)
    stream.machine.bound(JULIET.with_resource("balcony"))
    stream.take()
    return stream


def failure(condition, profile=ns.SASL, text=""):
    element = Element("failure", profile, None, Element(condition, ns.SASL))
    if text:
        element.append(Element("text", profile, {"xml:lang": "en"}, text))
    return element


# --- the table


def test_the_table_is_total():
    assert set(SERVER_TABLE) == set(ServerStreamState)
    for state, cells in SERVER_TABLE.items():
        assert set(cells) == set(ServerInput), state
        for cell in cells.values():
            match cell:
                case Go(verb, targets):
                    phase, name = verb.split(".")
                    assert callable(getattr(PHASES[phase], name))
                    assert targets
                case Refuse(condition):
                    StreamError(condition)
                case _:
                    assert isinstance(cell, Ignore | Misuse)


def test_every_question_has_an_answer_and_every_answer_a_question():
    for state, cells in SERVER_TABLE.items():
        answers = [kind for kind in ANSWERS if isinstance(cells[kind], Go)]
        assert bool(answers) == (state in WAITING or state is ServerStreamState.CONNECTED), state


def test_every_state_can_be_reached():
    reached = {ServerStreamState.CONNECTED, ServerStreamState.CLOSED}
    reached |= {
        target
        for cells in SERVER_TABLE.values()
        for cell in cells.values()
        if isinstance(cell, Go)
        for target in cell.to
    }
    assert reached == set(ServerStreamState)


def test_an_answer_that_nobody_asked_for_is_the_runners_mistake():
    machine = opened().machine
    for answer in (
        lambda: machine.keys_found(None),
        lambda: machine.checked(True),
        lambda: machine.tokens_found((), now=0.0),
        lambda: machine.bound(JULIET),
        lambda: machine.token_issued("", ""),
        machine.inline_answered,
        lambda: machine.refused(StanzaError("conflict")),
        machine.unavailable,
        lambda: machine.registration_answered(Element("iq", ns.CLIENT)),
        lambda: machine.tls_established(TLS),
    ):
        with pytest.raises(LocalProtocolError):
            answer()


def test_after_the_end_nothing_happens():
    stream = opened()
    stream.feed(auth(PLAIN))
    stream.machine.stream_closed()
    assert stream.error is None
    stream.machine.checked(True)
    stream.machine.keys_found(None)
    stream.machine.fail(StreamError("system-shutdown"))
    assert stream.feed(MESSAGE) == []


# --- stream headers (RFC 6120 §4.7, §4.9.3)


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        ({"to": ""}, "improper-addressing"),
        ({"to": "im..example.com"}, "improper-addressing"),
        ({"to": "@"}, "improper-addressing"),
        ({"to": "elsewhere.example"}, "host-unknown"),
        ({"to": "juliet@im.example.com"}, "host-unknown"),
        ({"to": "im.example.com/resource"}, "host-unknown"),
        ({"version": ""}, "unsupported-version"),
        ({"version": "0.9"}, "unsupported-version"),
        ({"version": "x"}, "unsupported-version"),
        ({"version": "-1.0"}, "unsupported-version"),
        ({"version": "٢.0"}, "unsupported-version"),
        ({"sender": "juliet@elsewhere.example"}, "invalid-from"),
        ({"sender": "a@b@c"}, "invalid-from"),
    ],
)
def test_headers_that_are_refused(header, condition):
    stream = Stream(TLS)
    stream.machine.stream_opened(StreamHeader(**({"to": "im.example.com"} | header)))
    assert stream.error == condition
    opening, _ = stream.actions
    assert opening.header.sender == "im.example.com"  # the error stands in a stream of ours
    assert opening.header.id


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0", "10.0", "9" * 5000 + ".0"])
def test_versions_that_are_understood(version):
    assert opened().open  # a stream of its own each time
    stream = Stream(TLS).open(version=version)
    assert isinstance(stream.take()[0], OpenStream)
    assert not stream.machine.closed


def test_our_header():
    stream = Stream(TLS).open(sender="Juliet@im.example.com/balcony", lang="de")
    header = stream.take()[0].header
    expected = StreamHeader(to=str(JULIET), sender="im.example.com", version="1.0", lang="de", id="token0")
    assert header == expected
    assert Stream(TLS).open(lang="x" * 100).take()[0].header.lang == "en"


def test_another_host_to_go_to():
    stream = Stream(TLS, see_other_host="[2001:db8::1]:5222").open()
    assert stream.error == "see-other-host"
    assert stream.actions[-1].error.content == "[2001:db8::1]:5222"
    hidden = Stream(see_other_host="other.example").open()
    hidden.take()
    assert not hidden.machine.closed  # not told in plain text where TLS is required


def test_a_transport_that_cannot_encrypt_where_that_is_required():
    assert Stream(starttls=False).open().error == "policy-violation"


# --- features


def names(element):
    return [(child.name, child.namespace) for child in element.children]


def test_only_starttls_where_it_is_required():
    features = opened(None, registration=True).features
    assert features.children == [Element("starttls", ns.TLS, None, Element("required", ns.TLS))]


def test_features_before_log_in():
    extra = Element("hello", "urn:example")
    stream = opened(
        registration=True,
        features_before=(extra,),
        limits_before=StreamLimits(max_bytes=10_000, idle_seconds=1800),
        sasl2_inline=(Element("sm", ns.SM),),
        bind2_inline=(ns.CARBONS,),
    )
    features = stream.features
    mechanisms = [each.text for each in features.find("mechanisms", ns.SASL).children]
    scrams = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    assert mechanisms == [*(name + "-PLUS" for name in scrams), *scrams, "PLAIN"]
    sasl2 = features.find("authentication", ns.SASL2)
    assert [each.text for each in sasl2.find_all("mechanism")] == mechanisms
    inline = sasl2.find("inline")
    assert names(inline) == [("bind", ns.BIND2), ("sm", ns.SM), ("fast", ns.FAST)]
    assert inline.find("bind", ns.BIND2).find("inline").find("feature").get("var") == ns.CARBONS
    tokens = [each.text for each in inline.find("fast", ns.FAST).children]
    assert tokens == ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]
    types = [each.get("type") for each in features.find("sasl-channel-binding", ns.CHANNEL_BINDING).children]
    assert types == ["tls-exporter", "tls-server-end-point"]
    assert features.find("register", ns.REGISTER_FEATURE) is not None
    limits = features.find("limits", ns.STREAM_LIMITS)
    assert (limits.text_of("max-bytes"), limits.text_of("idle-seconds")) == ("10000", "1800")
    assert extra in features.children
    assert features.find("starttls", ns.TLS) is None


def test_nothing_to_bind_to_no_plus():
    features = opened(TlsInfo()).features
    assert features.find("sasl-channel-binding", ns.CHANNEL_BINDING) is None
    assert not any(each.text.endswith("-PLUS") for each in features.find("mechanisms", ns.SASL).children)
    tokens = features.find("authentication", ns.SASL2).find("inline").find("fast", ns.FAST).children
    assert [each.text for each in tokens] == ["HT-SHA-256-NONE"]


def test_without_tls_neither_plain_nor_sasl2():
    features = opened(None, tls_required=False).features
    assert names(features) == [("starttls", ns.TLS), ("mechanisms", ns.SASL)]
    assert "PLAIN" not in [each.text for each in features.find("mechanisms", ns.SASL).children]


def test_features_after_log_in():
    stream = logged_in(
        features_after=(Element("ver", ns.ROSTER_VERSIONING),), limits_after=StreamLimits(max_bytes=262_144)
    ).open()
    expected = [
        ("bind", ns.BIND),
        ("session", ns.SESSION),
        ("ver", ns.ROSTER_VERSIONING),
        ("limits", ns.STREAM_LIMITS),
    ]
    assert names(stream.features) == expected


def test_only_plain_for_a_host_that_accepts_any_password():
    features = opened(mechanisms=("PLAIN",)).features
    assert [each.text for each in features.find("mechanisms", ns.SASL).children] == ["PLAIN"]


# --- STARTTLS (RFC 6120 §5)


def test_starttls():
    stream = opened(None)
    assert stream.feed(ASK_TLS) == [Send(Element("proceed", ns.TLS)), StartTls()]
    assert stream.machine.waiting
    stream.machine.tls_established(TLS)
    assert stream.machine.host is None
    stream.open()
    assert isinstance(stream.take()[0], OpenStream)
    assert stream.features.find("mechanisms", ns.SASL) is not None
    assert stream.feed(ASK_TLS) == [Send(Element("failure", ns.TLS)), CloseStream(None)]


def test_what_is_injected_after_starttls_is_not_looked_at():
    stream = opened(None)
    stream.feed(ASK_TLS)
    assert stream.feed(auth(PLAIN), MESSAGE, ASK_TLS, BIND) == []
    stream.open()
    assert stream.take() == []
    stream.machine.tls_established(TLS)
    stream.open().take()
    assert stream.machine.state is ServerStreamState.OPENED


def test_starttls_that_is_not_there():
    stream = opened(None, tls_available=False, tls_required=False)
    assert stream.feed(ASK_TLS) == [Send(Element("failure", ns.TLS)), CloseStream(None)]


def test_an_error_during_the_handshake_cannot_be_sent():
    stream = opened(None)
    stream.feed(ASK_TLS)
    stream.machine.fail(StreamError("connection-timeout"))
    assert stream.take() == [CloseStream(None)]


@pytest.mark.parametrize("request_", [auth(PLAIN), authenticate(PLAIN), auth("", "SCRAM-SHA-1")])
def test_no_log_in_before_tls_where_it_is_required(request_):
    stream = opened(None)
    failed = stream.feed(request_)
    assert failed[0].condition == "encryption-required"
    assert failed[1].element.name == "failure"


def test_no_plain_without_tls():
    stream = opened(None, tls_required=False)
    assert stream.feed(auth(PLAIN))[0] == AuthenticationFailed(None, "PLAIN", "encryption-required")


# --- log-in


@pytest.mark.parametrize(
    ("options", "offered", "refused"),
    [
        ({"sasl": False}, {"authentication"},
         (auth(PLAIN), ns.SASL, "SASL is not offered here; log in with SASL2")),
        ({"sasl2": False}, {"mechanisms"},
         (authenticate(PLAIN), ns.SASL2, "SASL2 is not offered here; log in with SASL")),
    ],
)  # fmt: skip
def test_a_host_that_does_without_sasl_or_sasl2(options, offered, refused):
    stream = opened(**options)
    names = {child.name for child in stream.features.children}
    assert names & {"mechanisms", "authentication"} == offered
    request, profile, text = refused
    failed, told = stream.feed(request)
    assert failed.condition == "invalid-mechanism"
    assert told == Send(failure("invalid-mechanism", profile, text))
    other = authenticate(PLAIN) if profile == ns.SASL else auth(PLAIN)
    assert stream.feed(other) == [CheckPassword(JULIET, "r0m30myr0m30")]


def test_plain():
    stream = opened()
    (question,) = stream.feed(auth(PLAIN))
    assert question == CheckPassword(JULIET, "r0m30myr0m30")
    assert "r0m30" not in repr(question)
    stream.machine.checked(True)
    assert stream.take() == [
        Authenticated(account=JULIET, mechanism="PLAIN"),
        Send(Element("success", ns.SASL)),
        RestartStream(),
    ]


def test_without_initial_response_there_is_an_empty_challenge():
    for request, profile in ((auth(""), ns.SASL), (authenticate(None), ns.SASL2)):
        stream = opened()
        assert stream.feed(request) == [Send(Element("challenge", profile))]
        asked = stream.feed(Element("response", profile, None, PLAIN))
        assert asked == [CheckPassword(JULIET, "r0m30myr0m30")]


def test_the_example_of_xep0474():
    """The whole exchange of §5.3, but for the mechanisms' order."""
    tls = TlsInfo(end_point=b"-", exporter=b"THIS IS FAKE CB DATA")
    host = HostPolicy(domain="example.org", mechanisms=("SCRAM-SHA-1",))
    tokens = iter(["id", "a09117a6-ac50-4f2f-93f1-93799c2bddf6"])
    machine = ServerNegotiation(
        StreamPolicy(host={"example.org": host}.get, secret=b""), make_token=lambda: next(tokens)
    )
    machine.tls_established(tls)
    machine.stream_opened(StreamHeader(to="example.org", sender="user@example.org"))
    machine.take()
    request = """
        <authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1-PLUS'>
          <initial-response>cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPTEyQzRDRDVDLUUzOEUtNEE5OC04RjZELTE1QzM4RjUxQ0NDNg==</initial-response>
          <user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'>
            <software>AwesomeXMPP</software>
            <device>Kiva's Phone</device>
          </user-agent>
        </authenticate>"""
    machine.received(decode(request.encode(), ns.CLIENT))
    assert machine.take() == [LookUpKeys(Jid("user@example.org"))]
    machine.keys_found(
        make_scram_keys("pencil", ("SCRAM-SHA-1",), 4096, base64.b64decode("QSXCR+Q6sek8bf92"))
    )
    (challenge,) = machine.take()
    assert base64.b64decode(challenge.element.text) == (
        b"r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,"
        b"s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="
    )
    response = """
        <response xmlns='urn:xmpp:sasl:2'>
          Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xGUklTVk1nU1ZNZ1JrRkxSU0JEUWlCRVFWUkIscj0xMkM0Q0Q1Qy1FMzhFLTRBOTgtOEY2RC0xNUMzOEY1MUNDQzZhMDkxMTdhNi1hYzUwLTRmMmYtOTNmMS05Mzc5OWMyYmRkZjYseD0xOUM2NTMyRi0xQ0Y0LTRBMjctQTE4RC1EQzlDRUE0MUJCQjMscD1NL1NJRGpUK2RmY3hVaDg5alpFeXBSdkZ4QjQ9
        </response>"""
    machine.received(decode(response.encode(), ns.CLIENT))
    login, success, features = machine.take()
    assert login.account == "user@example.org"
    assert login.user_agent.device == "Kiva's Phone"
    expected = (
        "<success xmlns='urn:xmpp:sasl:2'>"
        "<additional-data>dj1NUXJNUHZ2N3l2NHg0Q3E0VzRJaDI1RXFTMmM9</additional-data>"
        "<authorization-identifier>user@example.org</authorization-identifier></success>"
    )
    assert success.element == decode(expected.encode(), ns.CLIENT)
    assert features.element.find("bind", ns.BIND) is not None


@pytest.mark.parametrize(
    ("request_", "condition"),
    [
        (auth("!"), "incorrect-encoding"),
        (auth("AGp1bGll"[:-1]), "incorrect-encoding"),
        (auth("AGp1\nbGll"), "incorrect-encoding"),
        (auth("é"), "incorrect-encoding"),
        (auth("="), "malformed-request"),
        (auth(encode("juliet")), "malformed-request"),
        (auth(encode(b"\0juliet\0\xff")), "malformed-request"),
        (auth("A" * 40_000), "malformed-request"),
        (auth(PLAIN, ""), "invalid-mechanism"),
        (auth(PLAIN, "CRAM-MD5"), "invalid-mechanism"),
        (auth(PLAIN, "plain"), "invalid-mechanism"),
        (auth(PLAIN, "EXTERNAL"), "invalid-mechanism"),
        (auth(PLAIN, "HT-SHA-256-NONE"), "invalid-mechanism"),
        (auth(encode("romeo@im.example.com\0juliet\0pw")), "invalid-authzid"),
        (auth(encode("juliet@elsewhere.example\0juliet\0pw")), "invalid-authzid"),
        (auth(encode("juliet@im.example.com/balcony\0juliet\0pw")), "invalid-authzid"),
        (auth(encode("@@\0juliet\0pw")), "invalid-authzid"),
        (auth(encode("\0ju liet\0pw")), "not-authorized"),
        (auth(encode("\0juliet@im.example.com\0pw")), "not-authorized"),
        (auth(encode("\0" + "x" * 2000 + "\0pw")), "not-authorized"),
        (auth(encode("y,,n=juliet,r=x"), "SCRAM-SHA-256"), "not-authorized"),
        (auth(encode("p=tls-unique,,n=juliet,r=x"), "SCRAM-SHA-256-PLUS"), "malformed-request"),
        (authenticate(PLAIN, more="<user-agent id='phone'/>"), "malformed-request"),
        (
            authenticate(PLAIN, more=f"<request-token xmlns='{ns.FAST}' mechanism='HT-SHA-256-NONE'/>"),
            "malformed-request",
        ),
        (authenticate(PLAIN, more=f"<request-token xmlns='{ns.FAST}' mechanism='X'/>"), "malformed-request"),
        (authenticate(PLAIN, more=f"<fast xmlns='{ns.FAST}' count='-1'/>"), "malformed-request"),
        (authenticate(PLAIN, more=f"<fast xmlns='{ns.FAST}' count='{'9' * 5000}'/>"), "malformed-request"),
        (authenticate(PLAIN, "HT-SHA-256-NONE"), "malformed-request"),
    ],
)
def test_requests_that_are_refused(request_, condition):
    stream = opened()
    failed, sent = stream.feed(request_)
    assert failed.condition == condition
    profile = ns.SASL2 if ns.SASL2 in request_ else ns.SASL
    assert sent.element.namespace == profile
    assert sent.element.find(condition, ns.SASL) is not None
    assert stream.machine.state is ServerStreamState.OPENED


def test_a_weaker_mechanism_than_the_policy_wants():
    stream = opened(mechanisms=("SCRAM-SHA-256",))
    assert stream.feed(auth(PLAIN))[0].condition == "mechanism-too-weak"
    assert stream.feed(auth("", "SCRAM-SHA-1"))[0].condition == "mechanism-too-weak"


def test_own_address_as_authzid_is_fine():
    stream = opened()
    assert stream.feed(auth(encode("Juliet@im.example.com\0juliet\0pw"))) == [CheckPassword(JULIET, "pw")]


def test_the_stream_is_from_who_logs_in():
    stream = Stream(TLS).open(sender="romeo@im.example.com")
    named = encode("juliet@im.example.com\0juliet\0pw")
    for request in (auth(named), authenticate(named)):  # XEP-0388 §2.4
        assert stream.feed(request)[0] == AuthenticationFailed(JULIET, "PLAIN", "invalid-authzid")
    assert stream.feed(auth(PLAIN)) == [CheckPassword(JULIET, "r0m30myr0m30")]  # he named nobody to act for
    stream = Stream(TLS).open(sender="juliet@im.example.com/balcony")
    assert stream.feed(auth(PLAIN)) == [CheckPassword(JULIET, "r0m30myr0m30")]


def test_an_unknown_user_sees_the_same_exchange_every_time():
    def challenge(name):
        stream = opened()
        stream.feed(auth(encode(f"n,,n={name},r=nonce"), "SCRAM-SHA-256"))
        if stream.machine.waiting:
            stream.machine.keys_found(None)
        stream.take()
        return base64.b64decode(stream.sent[-1].text).decode()

    def salt_of(text):
        return text.split(",")[1]

    assert challenge("ghost") == challenge("ghost")
    assert salt_of(challenge("ghost")) != salt_of(challenge("spirit"))
    real = opened()
    real.feed(auth(encode("n,,n=juliet,r=nonce"), "SCRAM-SHA-256"))
    real.machine.keys_found(KEYS)
    real.take()
    known = base64.b64decode(real.sent[-1].text).decode()
    assert [len(part) for part in known.split(",")] == [len(part) for part in challenge("ghost").split(",")]
    assert len(challenge("not a name")) == len(known)  # nobody can be called so, and nobody can tell


def test_the_store_does_not_answer():
    stream = opened()
    for request in (auth(PLAIN), auth(encode("n,,n=juliet,r=x"), "SCRAM-SHA-256")):
        stream.feed(request)
        stream.machine.unavailable()
        (sent,) = stream.take()
        assert sent.element.find("temporary-auth-failure", ns.SASL) is not None
    assert not stream.machine.closed


def test_abort():
    stream = opened()
    stream.feed(auth(encode("n,,n=juliet,r=x"), "SCRAM-SHA-256"))
    stream.machine.keys_found(KEYS)
    stream.take()
    failed, sent = stream.feed(f"<abort xmlns='{ns.SASL}'/>")
    assert failed == AuthenticationFailed(JULIET, "SCRAM-SHA-256", "aborted")
    assert sent.element == failure("aborted")
    assert stream.feed(auth(PLAIN)) == [CheckPassword(JULIET, "r0m30myr0m30")]


def test_an_abort_that_crossed_our_failure():
    stream = opened()
    stream.feed(auth("!"))
    assert stream.feed(f"<abort xmlns='{ns.SASL2}'/>")[1] == Send(failure("aborted", ns.SASL2))


def test_too_many_attempts():
    stream = opened()
    for _ in range(2):
        stream.feed(auth(PLAIN))
        stream.machine.checked(False)
        stream.take()
    stream.feed(authenticate(PLAIN))
    stream.machine.checked(False)
    stream.take()
    assert stream.error == "policy-violation"
    assert stream.sent[-1] == failure("not-authorized", ns.SASL2)
    assert stream.feed(auth(PLAIN)) == []


def test_a_malformed_response():
    stream = opened()
    stream.feed(auth(encode("n,,n=juliet,r=x"), "SCRAM-SHA-256"))
    stream.machine.keys_found(KEYS)
    assert stream.feed(f"<response xmlns='{ns.SASL}'>?</response>")[1] == Send(
        failure("incorrect-encoding", text="not base64")
    )


@pytest.mark.parametrize(
    "other",
    [
        authenticate(PLAIN),
        MESSAGE,
        BIND,
        f"<response xmlns='{ns.SASL2}'/>",
        f"<abort xmlns='{ns.SASL2}'/>",
        "<x xmlns='y'/>",
        ASK_TLS,
    ],
)
def test_nothing_but_responses_during_log_in(other):
    stream = opened()
    stream.feed(auth(encode("n,,n=juliet,r=x"), "SCRAM-SHA-256"))
    stream.machine.keys_found(KEYS)
    stream.feed(other)
    assert stream.error in {"policy-violation", "not-authorized", "unsupported-stanza-type"}


def challenged(request_):
    """Give a stream that waits for the answer to its SCRAM challenge."""
    stream = opened()
    stream.feed(request_)
    stream.machine.keys_found(KEYS)
    stream.take()
    return stream


SCRAM = encode("n,,n=juliet,r=x")


def test_another_request_discards_the_handshake_that_runs():  # RFC 6120 §6.4.2
    stream = challenged(auth(SCRAM, "SCRAM-SHA-256"))
    failed, asked = stream.feed(auth(PLAIN))
    assert failed == AuthenticationFailed(
        JULIET, "SCRAM-SHA-256", "aborted"
    )  # for the log: no failure is sent
    assert asked == CheckPassword(JULIET, "r0m30myr0m30")
    stream.machine.checked(True)
    assert isinstance(stream.take()[0], Authenticated)


def test_handshakes_cannot_be_discarded_for_ever():
    stream = opened(attempts=2)
    for _ in range(9):
        stream.feed(auth(SCRAM, "SCRAM-SHA-256"))
        if stream.machine.closed:
            break
        stream.machine.keys_found(KEYS)
        stream.take()
    assert stream.error == "policy-violation"


@pytest.mark.parametrize("again", [auth(PLAIN), authenticate(PLAIN)])
def test_sasl2_lets_nothing_come_between(again):  # XEP-0388 §2.4: disconnect who sends anything else
    stream = challenged(authenticate(SCRAM, "SCRAM-SHA-256"))
    stream.feed(again)
    assert stream.error == "policy-violation"


@pytest.mark.parametrize(
    ("reason", "condition"),
    [
        ("conflict", "conflict"),
        ("resource-constraint", "resource-constraint"),
        ("recipient-unavailable", "resource-constraint"),
        ("internal-server-error", "internal-server-error"),
        ("not-authorized", "not-authorized"),
        ("forbidden", "not-authorized"),
        ("not-allowed", "policy-violation"),
        ("bad-request", "policy-violation"),
    ],
)
def test_a_session_refused_together_with_log_in_ends_the_stream_and_says_why(reason, condition):
    stream = logged_in(authenticate(PLAIN, more=f"<bind xmlns='{ns.BIND2}'/>"))
    stream.machine.refused(StanzaError(reason, "because"))
    stream.take()
    assert (
        stream.error == condition
    )  # never undefined-condition, which says nothing alone (RFC 6120 §4.9.3.21)
    assert stream.actions[-1].error.text == "because"


def test_external_with_more_than_one_address():
    tls = TlsInfo(peer_identities=("juliet@im.example.com", "nurse@im.example.com"))
    assert opened(tls).feed(auth("=", "EXTERNAL"))[0].condition == "invalid-authzid"
    assert (
        opened(tls).feed(auth(encode("romeo@im.example.com"), "EXTERNAL"))[0].condition == "invalid-authzid"
    )
    chosen = opened(tls).feed(auth(encode("Nurse@im.example.com"), "EXTERNAL"))
    assert chosen == [CheckAccount(Jid("nurse@im.example.com"))]
    assert opened(tls).feed(auth("", "EXTERNAL")) == [Send(Element("challenge", ns.SASL))]


def test_anonymous_needs_no_initial_response():
    stream = opened(mechanisms=("ANONYMOUS",))
    login = stream.feed(f"<auth xmlns='{ns.SASL}' mechanism='ANONYMOUS'/>")[0]
    assert login.anonymous
    assert len(login.account.local) == 36  # a UUID


# --- one log-in per stream; stanzas only after it


@pytest.mark.parametrize(
    "stanza",
    [MESSAGE, "<presence/>", BIND, SESSION, "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"],
)
def test_no_stanza_before_log_in(stanza):
    stream = opened()
    stream.feed(stanza)
    assert stream.error == "not-authorized"


@pytest.mark.parametrize("stanza", [MESSAGE, "<presence/>", REGISTER])
def test_no_stanza_before_the_session(stanza):
    stream = logged_in().open()
    stream.feed(stanza)
    assert stream.error == "not-authorized"


@pytest.mark.parametrize("again", [auth(PLAIN), authenticate(PLAIN), ASK_TLS])
def test_no_second_log_in(again):
    for stream in (logged_in().open(), established(), logged_in(authenticate(PLAIN))):
        stream.take()
        stream.feed(again)
        assert stream.error == "policy-violation"
        assert sum(isinstance(action, Authenticated) for action in stream.actions) == 1


def test_elements_that_nobody_knows():
    for stream in (opened(), logged_in().open(), established()):
        stream.feed("<x xmlns='urn:example'/>")
        assert stream.error == "unsupported-stanza-type"


def test_the_stream_after_log_in_is_for_the_same_host_and_account():
    assert logged_in().open(sender="romeo@im.example.com").error == "invalid-from"
    assert logged_in().open(to="other.example").error == "host-unknown"
    stream = logged_in()
    stream.open(sender="juliet@im.example.com")
    assert stream.take()[0].header.to == JULIET


def test_a_second_header():
    assert opened().open().error == "policy-violation"


def test_an_error_between_log_in_and_the_new_header_opens_the_stream():
    stream = logged_in()
    stream.machine.fail(StreamError("system-shutdown"))
    assert [type(action) for action in stream.take()] == [OpenStream, CloseStream]


def test_the_peers_error_ends_the_stream():
    stream = opened()
    stream.feed(Element("error", ns.STREAMS))
    assert stream.error is None


# --- binding


def test_binding():
    stream = logged_in().open()
    asked = stream.feed(
        "<iq id='wy2xa82b4' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        "<resource>balcony</resource></bind></iq>"
    )[-1]
    assert asked == BindResource(account=JULIET, resource="balcony", chosen=True)
    stream.machine.bound(JULIET.with_resource("balcony"))
    answer = decode(  # RFC 6120 §7.7.1
        b"<iq id='wy2xa82b4' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        b"<jid>juliet@im.example.com/balcony</jid></bind></iq>",
        ns.CLIENT,
    )
    assert stream.take() == [Send(answer), Established(JULIET.with_resource("balcony"))]


def test_a_resource_that_the_server_makes():
    asked = logged_in().open().feed(BIND)[-1]
    assert asked.resource.startswith("~")
    assert not asked.chosen


@pytest.mark.parametrize("resource", ["x" * 1024, "\u0627\u0301\ue000", "a\u0085b"])
def test_resources_that_cannot_be(resource):
    stream = logged_in().open()
    answer = stream.feed(
        Element(
            "iq",
            ns.CLIENT,
            {"type": "set"},
            Element("bind", ns.BIND, None, Element("resource", ns.BIND, None, resource)),
        )
    )[-1].element
    assert answer.find("error").find("bad-request", ns.STANZA_ERRORS) is not None
    assert not stream.machine.closed


def test_a_refused_resource_leaves_the_stream_open():
    stream = logged_in().open()
    stream.feed(BIND)
    stream.machine.refused(StanzaError("conflict", "taken"))
    (answer,) = stream.take()
    assert answer.element.get("type") == "error"
    assert isinstance(stream.feed(BIND)[-1], BindResource)


def test_a_second_resource_is_refused():
    (answer,) = established().feed(BIND)
    assert answer.element.find("error").find("not-allowed", ns.STANZA_ERRORS) is not None


def test_the_old_session_request_does_nothing():
    stream = established()
    assert stream.feed(SESSION) == [Send(Element("iq", ns.CLIENT, {"type": "result", "id": "2"}))]


def test_a_session_of_somebody_else_is_the_runners_mistake():
    for wrong in ("romeo@im.example.com/x", "juliet@im.example.com"):
        stream = logged_in().open()
        stream.feed(BIND)
        with pytest.raises(LocalProtocolError):
            stream.machine.bound(Jid(wrong))


def test_a_tag_that_cannot_be_in_an_address_is_left_out():
    tag = "x" * 1020
    stream = logged_in(authenticate(PLAIN, more=f"<bind xmlns='{ns.BIND2}'><tag>{tag}</tag></bind>"))
    (asked,) = [action for action in stream.actions if isinstance(action, BindResource)]
    assert asked.resource.startswith("~")


def test_inline_requests_that_were_not_advertised_are_passed_over():
    stream = logged_in(authenticate(PLAIN, more="<resume xmlns='urn:xmpp:sm:3'/><x xmlns='urn:example'/>"))
    assert not [action for action in stream.actions if isinstance(action, NegotiateInline)]
    assert stream.machine.state is ServerStreamState.AUTHENTICATED


@pytest.mark.parametrize("request_", ["<enable xmlns='urn:xmpp:sm:3'/>", "<resume xmlns='urn:xmpp:sm:3'/>"])
def test_counting_before_log_in_fails_and_log_in_goes_on(request_):  # XEP-0198 §3
    stream = opened(extensions=(ns.SM,))
    (sent,) = stream.feed(request_)
    assert sent.element == Failed("unexpected-request").encode()
    assert stream.feed(auth(PLAIN)) == [CheckPassword(JULIET, "r0m30myr0m30")]
    assert stream.feed(request_) == [sent]


def test_an_extension_between_log_in_and_binding():
    resume = "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"
    stream = logged_in(extensions=(ns.SM,)).open()
    (asked,) = [action for action in stream.feed(resume) if isinstance(action, NegotiateInline)]
    assert asked.account == JULIET
    stream.machine.inline_answered([Element("failed", ns.SM)])
    assert stream.take() == [Send(Element("failed", ns.SM))]
    stream.feed(resume)
    stream.machine.inline_answered([Element("resumed", ns.SM)], resumed=JULIET.with_resource("before"))
    assert stream.take()[-1] == Established(JULIET.with_resource("before"), resumed=True)


def test_a_token_that_cannot_be_issued_does_not_stop_the_log_in():
    agent = f"<user-agent id='{DEVICE}'/>"
    wish = f"<request-token xmlns='{ns.FAST}' mechanism='HT-SHA-256-NONE'/>"
    stream = logged_in(authenticate(PLAIN, more=agent + wish))
    assert stream.actions[-1] == IssueToken(JULIET, DEVICE, "HT-SHA-256-NONE")
    stream.machine.refused(StanzaError("resource-constraint"))
    success = stream.take()[0].element
    assert success.find("token", ns.FAST) is None
    assert stream.machine.state is ServerStreamState.AUTHENTICATED


# --- registration before log-in (XEP-0077)


def test_registration_is_passed_on_where_it_is_offered():
    stream = opened(registration=True)
    (asked,) = stream.feed(REGISTER)
    assert asked == RegistrationRequest(decode(REGISTER.encode(), ns.CLIENT))
    answer = Element("iq", ns.CLIENT, {"type": "result", "id": "3"})
    stream.machine.registration_answered(answer)
    assert stream.take() == [Send(answer)]
    stream.feed(REGISTER)
    stream.machine.refused(StanzaError("conflict"))
    assert stream.take()[0].element.find("error").find("conflict", ns.STANZA_ERRORS) is not None
    assert stream.feed(auth(PLAIN)) == [CheckPassword(JULIET, "r0m30myr0m30")]


@pytest.mark.parametrize(("tls", "registration"), [(TLS, False), (None, True)])
def test_registration_is_refused_where_it_is_not(tls, registration):
    (answer,) = opened(tls, registration=registration).feed(REGISTER)
    assert answer.element.find("error").find("service-unavailable", ns.STANZA_ERRORS) is not None


def test_a_token_is_passed_on_as_a_request_to_register():  # XEP-0445 §4
    shown = "<iq type='set' id='3'><preauth xmlns='urn:xmpp:pars:0' token='t'/></iq>"
    (asked,) = opened(registration=True).feed(shown)
    assert asked == RegistrationRequest(decode(shown.encode(), ns.CLIENT))


@pytest.mark.parametrize("invitations", [True, False])
def test_that_tokens_are_taken_is_offered_with_registration(invitations):  # XEP-0445 §3
    features = opened(registration=True, invitations=invitations).features
    assert (features.find("register", ns.REGISTER_INVITED) is not None) is invitations


# --- anything at all

TEXTS = st.sampled_from(
    ["", "=", "!", PLAIN, encode("n,,n=juliet,r=x"), encode("y,,n=a,r=b"), encode("\0a\0b"), "AAAA"]
)
MECHANISMS = st.sampled_from(
    ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "EXTERNAL", "ANONYMOUS", "HT-SHA-256-NONE", ""]
)
MORE = st.sampled_from(
    [
        "",
        f"<bind xmlns='{ns.BIND2}'><tag>t</tag></bind>",
        f"<fast xmlns='{ns.FAST}' count='1'/><user-agent id='{DEVICE}'/>",
        f"<user-agent id='{DEVICE}'/><request-token xmlns='{ns.FAST}' mechanism='HT-SHA-256-NONE'/>",
        "<resume xmlns='urn:xmpp:sm:3'/>",
    ]
)
FIXED = [
    ASK_TLS,
    BIND,
    SESSION,
    REGISTER,
    MESSAGE,
    "<presence/>",
    "<iq/>",
    "<x xmlns='urn:xmpp:sm:3'/>",
    "<x xmlns=''/>",
]
ELEMENTS = st.one_of(
    st.sampled_from(FIXED),
    st.builds(auth, TEXTS, MECHANISMS),
    st.builds(authenticate, st.one_of(st.none(), TEXTS), MECHANISMS, MORE),
    st.builds(
        "<{1} xmlns='{0}'>{2}</{1}>".format,
        st.sampled_from([ns.SASL, ns.SASL2]),
        st.sampled_from(["response", "abort", "success"]),
        TEXTS,
    ),
)
HEADERS = st.builds(
    StreamHeader,
    to=st.sampled_from(["im.example.com", "", "x"]),
    sender=st.sampled_from(["", "juliet@im.example.com", "a@b"]),
    version=st.sampled_from(["1.0", "1.0", ""]),
)
GOOD_HEADER = st.just(StreamHeader(to="im.example.com"))
STEPS = st.lists(st.one_of(ELEMENTS, ELEMENTS, GOOD_HEADER, HEADERS, st.booleans()), max_size=25)


def answer(machine, action, *, kindly):
    """Answer a question, well or badly."""
    match action:
        case CheckPassword() | CheckAccount():
            machine.checked(kindly)
        case LookUpKeys():
            machine.keys_found(KEYS if kindly else None)
        case LookUpTokens():
            machine.tokens_found((), now=0.0)
        case NegotiateInline():
            machine.inline_answered()
        case IssueToken():
            machine.token_issued("token", "2026-01-01T00:00:00Z")
        case RegistrationRequest():
            machine.refused(StanzaError("conflict"))
        case StartTls():
            machine.tls_established(TLS)
        case BindResource(account=account, resource=resource):
            if kindly:
                machine.bound(account.with_resource(resource))
            else:
                machine.refused(StanzaError("conflict"))


@settings(max_examples=150)
@given(STEPS, st.booleans(), st.booleans(), st.booleans())
def test_nothing_that_a_peer_sends_makes_the_machine_fail(steps, encrypted, kindly, answered):
    """Not even if the runner feeds what it should have held back until its answer."""
    stream = Stream(
        TLS if encrypted else None,
        tls_required=False,
        plain_without_tls=True,
        registration=True,
        mechanisms=("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "ANONYMOUS", "EXTERNAL"),
        sasl2_inline=(Element("sm", ns.SM),),
        extensions=(ns.SM,),
        attempts=10,
    )
    logins = closings = 0
    for step in steps:
        if stream.machine.state is ServerStreamState.ESTABLISHED:
            break
        if isinstance(step, StreamHeader):
            stream.machine.stream_opened(step)
        elif isinstance(step, bool):
            kindly = step
            continue
        else:
            stream.machine.received(decode(step.encode(), ns.CLIENT))
        while actions := stream.machine.take():
            for action in actions:
                logins += isinstance(action, Authenticated)
                closings += isinstance(action, CloseStream)
                if isinstance(action, Send):
                    action.element.to_bytes()
                if answered:
                    answer(stream.machine, action, kindly=kindly)
    assert logins <= 1
    assert closings == stream.machine.closed
