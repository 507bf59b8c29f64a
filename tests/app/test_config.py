"""Configuration as an administrator meets it: what is read, and every message word by word."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from tidings.app import config
from tidings.app.known_features import KnownFeatures
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.features.registration import RegistrationOptions
from tidings.kernel.feature import Feature


class EchoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A feature for tests."""

    enabled: Annotated[bool, Meta(description="Whether.")] = False
    seconds: Annotated[int, Meta(ge=1, description="How long.")] = 5


class ServiceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One service."""

    host: str
    port: int = 1


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A feature with a list of sections."""

    services: tuple[ServiceOptions, ...] = ()


class PickyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that looks at its options together."""

    low: int = 1
    high: int = 2

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError("`low` must not be above `high`")


def feature(name, options=None, requires=()):
    return type(name, (Feature,), {"option_name": name, "Options": options, "requires": requires})


ECHO = feature("echo", EchoOptions)
FEATURES = KnownFeatures(
    (
        ECHO,
        feature("services", ListOptions),
        feature("picky", PickyOptions),
        feature("answer", requires=(ECHO,)),
        feature("registration", RegistrationOptions),  # which the interop profile opens
    )
)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(directory, text="", environment=None, flags=None, profile="") -> Config:
    if text:
        (directory / "tidings.toml").write_text(text)
    return config.load(None, environment or {}, flags, FEATURES, profile=profile)


def mistakes(directory, text="", environment=None, flags=None, profile="") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(directory, text, environment, flags, profile)
    return str(caught.value).splitlines()


def test_no_file_is_needed(directory):
    found = read(directory)
    assert found.domains == ("localhost",)
    assert found.listen.tcp.port == 5222
    assert found.database_url == "sqlite:///data/tidings.sqlite"
    assert found.hosts["localhost"].features["echo"] == EchoOptions()


def test_file_environment_and_flags_win_in_this_order(directory):
    text = '[log]\nlevel = "debug"\nformat = "json"\n[listen.tcp]\nport = 1\n'
    found = read(
        directory,
        text,
        {"TIDINGS_LISTEN__TCP__PORT": "2", "TIDINGS_LOG__LEVEL": "info"},
        {"log.level": "error"},
    )
    assert (found.log.level, found.log.format, found.listen.tcp.port) == ("error", "json", 2)


def test_a_host_has_its_own_options_then_the_shared_ones_then_the_defaults(directory):
    found = read(
        directory,
        """
        [server]
        domains = ["A.example"]
        [features.echo]
        enabled = true
        seconds = 7
        [host."b.example"]
        authentication = "anonymous"
        [host."b.example".features.echo]
        seconds = 9
        """,
    )
    assert found.domains == ("a.example", "b.example")
    assert found.hosts["a.example"].features["echo"] == EchoOptions(enabled=True, seconds=7)
    assert found.hosts["b.example"].features["echo"] == EchoOptions(enabled=True, seconds=9)
    assert found.hosts["a.example"].authentication == "accounts"
    assert found.hosts["b.example"].authentication == "anonymous"


def test_sasl_and_sasl2_are_chosen_for_all_domains_and_for_each(directory):
    found = read(
        directory,
        """
        [server]
        domains = ["a.example"]
        sasl2 = false
        [host."b.example"]
        sasl2 = true
        sasl = false
        """,
    )
    assert [(host.sasl, host.sasl2) for host in found.hosts.values()] == [(True, False), (False, True)]
    assert (found.host("added.example").sasl, found.host("added.example").sasl2) == (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nsasl = false\nsasl2 = false\n",
         "tidings.toml:3: `sasl` and `sasl2` in [server] are both false; nobody could log in"),
        ('[server]\nsasl = false\n[host."b.example"]\nsasl2 = false\n',
         'tidings.toml:4: [host."b.example"] has neither `sasl` nor `sasl2`; nobody could log in to it'),
    ],
)  # fmt: skip
def test_a_domain_that_nobody_can_log_in_to_is_told(directory, text, expected):
    assert mistakes(directory, text) == [expected]


def test_administrators_of_a_domain_are_complete_addresses(directory):
    found = read(
        directory,
        """
        [server]
        domains = ["a.example"]
        admins = ["Root@a.example"]
        create_admins = ["first:pa:ss", "other@b.example:x"]
        [host."b.example"]
        admins = ["bob"]
        """,
    )
    assert found.hosts["a.example"].admins == ("root@a.example", "first@a.example")
    assert found.hosts["b.example"].admins == (
        "root@a.example",
        "bob@b.example",
        "first@b.example",
        "other@b.example",
    )
    assert found.first_accounts() == (
        ("first@a.example", "pa:ss"),
        ("first@b.example", "pa:ss"),
        ("other@b.example", "x"),
    )


def test_files_are_relative_to_the_configuration_that_names_them(directory):
    (directory / "etc").mkdir()
    (directory / "etc/my.toml").write_text('[tls]\ncertificate = "c.pem"\nkey = "/k.pem"\n')
    found = config.load("etc/my.toml", {"TIDINGS_SERVER__DATA_DIR": "here"}, None, FEATURES)
    assert (found.tls.certificate, found.tls.key) == ("etc/c.pem", "/k.pem")
    assert str(found.data_dir) == "here"


def test_the_environment_names_the_file(directory):
    (directory / "my.toml").write_text("[listen.tcp]\nport = 7\n")
    assert read(directory, "", {"TIDINGS_CONFIG": "my.toml"}).listen.tcp.port == 7


def test_the_environment_speaks_every_type(directory):
    found = read(
        directory,
        '[host."b.example"]\n',
        {
            "TIDINGS_SERVER__DOMAINS": "one.example, two.example",
            "TIDINGS_LISTEN__TLS__ENABLED": "no",
            "TIDINGS_LISTEN__HTTP__ADDRESSES": '["127.0.0.1"]',
            "TIDINGS_HOST__B_EXAMPLE__AUTHENTICATION": "anonymous",
            "TIDINGS_FEATURES__ECHO__SECONDS": "8",
            "TIDINGS_SERVICE_PORT": "tcp://10.0.0.1:80",  # not ours: no double underscore
        },
    )
    assert found.domains == ("one.example", "two.example", "b.example")
    assert found.listen.tls.enabled is False
    assert found.listen.http.addresses == ("127.0.0.1",)
    assert found.hosts["b.example"].authentication == "anonymous"
    assert found.hosts["one.example"].features["echo"].seconds == 8


def test_all_mistakes_are_told_at_once_with_line_and_nearest_name(directory):
    text = """\
[server]
domians = ["x.example"]
data-dir = "x"

[listen.tcp]
prot = 5222
port = 99999

[lisen.tls]
port = 1

[log]
level = "inof"
port = 3
colour = true

[features.ehco]
seconds = 1

[features.echo]
seconds = 0

[host."exa mple"]
admins = "bob"
"""
    assert mistakes(directory, text) == [
        "tidings.toml:2: unknown option `domians` in [server]; did you mean `domains`?",
        "tidings.toml:3: unknown option `data-dir` in [server]; did you mean `data_dir`?",
        "tidings.toml:6: unknown option `prot` in [listen.tcp]; did you mean `port`?",
        "tidings.toml:7: `port` in [listen.tcp] must be a whole number from 0 to 65535, not 99999",
        "tidings.toml:9: unknown section [lisen]; did you mean [listen]?",
        (
            'tidings.toml:13: `level` in [log] must be one of `"debug"`, `"error"`, `"info"`, `"warning"`, '
            'not "inof"; did you mean `info`?'
        ),
        "tidings.toml:14: unknown option `port` in [log]; it belongs in [listen.tcp]",
        (
            "tidings.toml:15: unknown option `colour` in [log]; the options here are `level`, `format`, "
            "`explained_messages`"
        ),
        "tidings.toml:17: unknown section [features.ehco]; did you mean [features.echo]?",
        "tidings.toml:21: `seconds` in [features.echo] must be a whole number of at least 1, not 0",
        "tidings.toml:23: [host.\"exa mple\"] must name a domain: 'exa mple' is not a domain name",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[server]\ndomains = "example.org"',
            (
                "tidings.toml:2: `domains` in [server] must be a list of texts, "
                'such as ["one", "two"], not "example.org"'
            ),
        ),
        ("[listen]\ntcp = 5222", "tidings.toml:2: `listen.tcp` must be a section, not 5222"),
        (
            "[listen.tcp]\nenabled = 'yes'",
            'tidings.toml:2: `enabled` in [listen.tcp] must be true or false, not "yes"',
        ),
        (
            '[listen.tcp]\naddresses = ["example.org"]',
            (
                "tidings.toml:2: `addresses` in [listen.tcp] are IP addresses, "
                '"localhost" or "*", not "example.org"'
            ),
        ),
        (
            "[listen.tls]\nport = 5222",
            "tidings.toml:2: `port` in [listen.tls] is 5222, as in [listen.tcp]; give each its own",
        ),
        (
            "[acme]\nenabled = true",
            (
                "tidings.toml:1: `accept_terms` in [acme] must be true: without that no authority issues "
                "anything"
            ),
        ),
        (
            "[acme]\nenabled = true\naccept_terms = true\ndirectory = 'letsencrypt'",
            'tidings.toml:4: `directory` in [acme] must begin with https://, not "letsencrypt"',
        ),
        (
            "[acme]\nenabled = true\naccept_terms = true\n[listen.http]\nenabled = false",
            'tidings.toml:1: `challenge` in [acme] is "http-01", which needs [listen.http]',
        ),
        (
            "[acme]\nkey_id = 'us'",
            "tidings.toml:1: `key_file` in [acme] is missing: an authority gives both or neither",
        ),
        (
            "[host.'example.org']\ncertificate_names = ['a b']",
            (
                "tidings.toml:2: `certificate_names` in [host.\"example.org\"] must be domains: 'a b' is not "
                "a domain name"
            ),
        ),
        ("[tls]\nkey = 'k.pem'", "tidings.toml:2: `key` in [tls] needs a `certificate` beside it"),
        (
            "[database]\nurl = 'oracle://x'",
            (
                "tidings.toml:2: `url` in [database] must be memory: or begin with "
                "sqlite://, postgresql:// or mysql://"
            ),
        ),
        (
            "[database]\nurl = ['postgresql://tidings:wonderland@db.internal/x']",
            "tidings.toml:2: `url` in [database] must be a text in quotes",
        ),
        (
            "database = 'postgresql://t:wonderland@h/x'",
            "tidings.toml:1: `database` must be a section, not a text",
        ),
        (
            "[server]\ncreate_admins = 'alice:wonderland'",
            'tidings.toml:2: `create_admins` in [server] must be a list of texts, such as ["one", "two"]',
        ),
        (
            "[database]\nurl = 'postgresql://tidings:wonder@land@db.internal/x'",
            (
                "tidings.toml:2: `url` in [database] has more than one @: percent-encode what stands in its "
                "user name, password and options, an @ as %40 (also : / ? # % as %3A %2F %3F %23 %25)"
            ),
        ),
        (
            "[http]\ntrusted_proxies = ['10.0.0.1/8']",
            (
                'tidings.toml:2: `trusted_proxies` in [http] must be networks such as "10.0.0.0/8", '
                'not "10.0.0.1/8"'
            ),
        ),
        (
            "[limits]\noutbound_total_bytes = 1_000_000",
            (
                "tidings.toml:2: `outbound_total_bytes` in [limits] is for all clients together; it must be "
                "at least `outbound_queue_bytes`, which is 4194304 for one"
            ),
        ),
        (
            "[metrics]\nnetworks = ['intranet']",
            ('tidings.toml:2: `networks` in [metrics] must be networks such as "10.0.0.0/8", not "intranet"'),
        ),
        (
            "[server]\nadmins = ['bob']",
            (
                "tidings.toml:2: `admins` in [server] must be addresses such as "
                "\"alice@example.org\": 'bob' has no name before an @"
            ),
        ),
        (
            "[server]\ncreate_admins = ['bob']",
            ("tidings.toml:2: an administrator to create is written `name:password`; `bob` has no password"),
        ),
        (
            "[server]\ndomains = []",
            'tidings.toml:2: `domains` in [server] is empty; name one, such as ["example.org"]',
        ),
        (
            "[server]\ndomains = ['a@b']",
            ("tidings.toml:2: `domains` in [server] must name domains: 'a@b' is an address, not a domain"),
        ),
        (
            "[server]\nauthentication = 'any'",
            ('authentication = "any" is for tests: write addresses = ["localhost"] in [listen.tcp]'),
        ),
        (
            "[[features.services.services]]\nhost = 'x'\nprot = 2",
            ("tidings.toml:3: unknown option `prot` in [features.services.services]; did you mean `port`?"),
        ),
        ("[features.picky]\nlow = 5", "tidings.toml:1: [features.picky] `low` must not be above `high`"),
        (
            "[server\ndomains = []",
            "tidings.toml:1: is not valid TOML: Expected ']' at the end of a table declaration",
        ),
    ],
)
def test_each_mistake_says_what_was_expected(directory, text, expected):
    assert mistakes(directory, text)[0] == expected


@pytest.mark.parametrize(
    ("text", "environment", "flags"),
    [
        ("", {"TIDINGS_SERVER__DOMAINS": "my-app.example.org"}, None),
        ('[server]\ndomains = ["My-App.example.org"]\n', {}, None),
        ('[host."my-app.example.org"]\n', {}, None),
        ("", {}, {"server.domains": ["my-app.example.org"]}),
    ],
)
def test_a_variable_names_a_domain_wherever_that_is_configured(directory, text, environment, flags):
    variables = {
        "TIDINGS_HOST__MY_APP_EXAMPLE_ORG__AUTHENTICATION": "anonymous",
        "TIDINGS_HOST__MY_APP_EXAMPLE_ORG__FEATURES__ECHO__SECONDS": "9",
    }
    host = read(directory, text, {**variables, **environment}, flags).hosts["my-app.example.org"]
    assert host.authentication == "anonymous"
    assert host.features["echo"] == EchoOptions(seconds=9)


@pytest.mark.parametrize(
    ("domain", "written"),
    [
        ("straße.example", "STRAßE_EXAMPLE"),
        ("straße.example", "XN__STRAE_OQA_EXAMPLE"),
        ("xn--strae-oqa.example", "XN__STRAE_OQA_EXAMPLE"),
        ("a--b.example", "A__B_EXAMPLE"),
        ("a--b.example", "a--b.example"),
        ("localhost", "LOCALHOST"),
    ],
)
def test_a_variable_writes_a_domain_with_underscores(directory, domain, written):
    environment = {"TIDINGS_SERVER__DOMAINS": domain, f"TIDINGS_HOST__{written}__ADMINS": "alice"}
    [host] = read(directory, "", environment).hosts.values()
    assert len(host.admins) == 1


def test_a_variable_that_names_no_domain_or_two_is_told(directory):
    environment = {
        "TIDINGS_SERVER__DOMAINS": "a-b.example,a.b.example",
        "TIDINGS_HOST__A_B_EXAMPLE__ADMINS": "alice",
        "TIDINGS_HOST__EXAMPLE_ORG__ADMINS": "alice",
        "TIDINGS_HOST__EXAMPLE_ORG__FEATURES__ECHO__SECONDS": "1",
    }
    unknown = (
        "`EXAMPLE_ORG` is no domain of this configuration (a-b.example, a.b.example); "
        "name the domain in TIDINGS_SERVER__DOMAINS, or in `domains` in [server]"
    )
    assert mistakes(directory, "", environment) == [
        (
            "TIDINGS_HOST__A_B_EXAMPLE__ADMINS: may mean a-b.example or a.b.example, which are the same in a "
            'variable; write [host."a-b.example"] in a configuration file instead'
        ),
        f"TIDINGS_HOST__EXAMPLE_ORG__ADMINS: {unknown}",
        f"TIDINGS_HOST__EXAMPLE_ORG__FEATURES__ECHO__SECONDS: {unknown}",
    ]


def test_a_variable_of_a_domain_is_told_how_it_would_be_written(directory):
    environment = {"TIDINGS_SERVER__DOMAINS": "example.org", "TIDINGS_HOST__EXAMPLE_ORG__ADMIN": "alice"}
    [told] = mistakes(directory, "", environment)
    assert told.endswith("; did you mean TIDINGS_HOST__EXAMPLE_ORG__ADMINS?")


def test_mistakes_of_the_environment_and_of_flags_name_their_source(directory):
    environment = {
        "TIDINGS_LISTEN__TCP__PROT": "1",
        "TIDINGS_LISTEN__TLS__PORT": "abc",
        "TIDINGS_LISTEN__TLS__ENABLED": "perhaps",
    }
    assert mistakes(directory, "", environment, {"log.level": "loud"}) == [
        (
            "TIDINGS_LISTEN__TCP__PROT: unknown option `prot` in [listen.tcp]; "
            "did you mean TIDINGS_LISTEN__TCP__PORT?"
        ),
        'TIDINGS_LISTEN__TLS__ENABLED: `enabled` in [listen.tls] must be true or false, not "perhaps"',
        'TIDINGS_LISTEN__TLS__PORT: `port` in [listen.tls] must be a whole number from 0 to 65535, not "abc"',
        (
            '--log-level: `level` in [log] must be one of `"debug"`, `"error"`, `"info"`, `"warning"`, '
            'not "loud"'
        ),
    ]


def test_a_mistake_is_told_even_where_a_later_layer_covers_it(directory):
    environment = {"TIDINGS_LISTEN__TCP__PORT": "1"}
    [told] = mistakes(directory, "[listen.tcp]\nport = -1", environment)
    assert told.startswith("tidings.toml:2: `port` in [listen.tcp]")


def test_a_file_that_cannot_be_read_is_told(directory):
    for path, text in (
        ("missing.toml", "there is no such file"),
        (directory, "is a directory; name the file in it"),
    ):
        with pytest.raises(ConfigError, match=text):
            config.load(path, {}, None, FEATURES)
    (directory / "tidings.toml").write_bytes(b"# \xff\n")
    assert mistakes(directory) == ["tidings.toml: is not UTF-8 at byte 2; save it as UTF-8"]


def test_the_interop_profile_is_what_test_suites_expect(directory):
    (directory / "tidings.toml").write_text("[listen.tcp]\nport = 1\n")  # a profile does not look here
    found = read(directory, profile="interop", flags={"server.domains": ["extra.example"]})
    assert found.domains == ("localhost", "anon.localhost", "extra.example")
    assert found.hosts["anon.localhost"].authentication == "anonymous"
    ports = {name: listener.port for name, listener in found.listen.enabled().items()}
    assert ports == {"tcp": 5222, "tls": 5223, "http": 5280, "https": 5281}
    assert found.is_in_memory
    assert found.limits.login_seconds == 7200  # some register accounts by connections that never log in
    assert set(found.first_accounts()) == {("admin@localhost", "admin"), ("admin@extra.example", "admin")}


def test_the_interop_profile_keeps_its_data_where_a_directory_is_named(directory):
    found = read(directory, profile="interop", flags={"server.data_dir": "kept"})
    assert found.database_url == "sqlite:///kept/tidings.sqlite"


def test_the_interop_profile_and_its_flags_refuse_to_leave_loopback(directory):
    for flags, profile in (({}, "interop"), ({"server.reset_when_empty": True}, "")):
        told = mistakes(directory, "", {"TIDINGS_LISTEN__TCP__ADDRESSES": "192.0.2.1"}, flags, profile)
        assert told[0].startswith("TIDINGS_LISTEN__TCP__ADDRESSES: ")
        assert told[0].endswith('is for tests: write addresses = ["localhost"] in [listen.tcp]')


def test_auth_any_leaves_anonymous_hosts_alone(directory):
    found = read(directory, profile="interop", flags={"server.authentication": "any"})
    assert found.hosts["localhost"].authentication == "any"
    assert found.hosts["anon.localhost"].authentication == "anonymous"


def test_an_unknown_profile_is_told_with_the_nearest(directory):
    assert mistakes(directory, profile="intertop") == [
        "--profile: unknown profile `intertop`; did you mean `interop`? (there are: `interop`)"
    ]
