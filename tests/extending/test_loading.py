"""Extensions as an administrator meets them: what can be named, and what is told when it cannot be used."""

import pytest

from tests.harness.extension import on_path, write_package
from tests.harness.world import World
from tidings.app import check, cli, config
from tidings.app.known_features import known_features
from tidings.app.mistakes import ConfigError

SOURCE = """
from typing import ClassVar
import msgspec
from tidings.api import *


class Nothing(msgspec.Struct):
    '''Nothing.'''


@operation("acme", "look", roles=OPERATORS, changes=False)
async def look(context: Context, request: Nothing) -> Nothing:
    '''Look.'''
    return Nothing()


@operation("account", "list", roles=OPERATORS, changes=False)
async def another_list(context: Context, request: Nothing) -> Nothing:
    '''List.'''
    return Nothing()


class AcmeOptions(msgspec.Struct, frozen=True, kw_only=True):
    '''Options of ours.'''

    size: int = 1


class Acme(Feature):
    Options = AcmeOptions
    operations = (look,)
    spec = Spec("acme", advertises=("urn:acme",))


class Other(Feature):
    option_name = "other"
    requires = (Acme,)


class Archive(Feature):
    option_name = "archive"


class List(Feature):
    option_name = "lists"
    operations = (another_list,)


class Picky(Feature):
    option_name = "picky"
    operations = ("no operation",)


class Needy(msgspec.Struct, frozen=True, kw_only=True):
    '''It cannot do without.'''

    key: str


class Demanding(Feature):
    option_name = "demanding"
    Options = Needy

    def __init__(self, options: Needy) -> None:
        self.key = options.key


BOTH = (Acme, Other)
NO_FEATURE = 5
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    write_package(
        tmp_path / "site",
        "acme",
        SOURCE,
        acme_filter="Acme",
        both="BOTH",
        archive="Archive",
        list="List",
        number="NO_FEATURE",
        picky="Picky",
        demanding="Demanding",
        gone="Gone",
    )
    write_package(tmp_path / "site", "broken", "import nothing_of_that_name", broken="Broken")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    with on_path(tmp_path / "site"):
        yield work


def read(directory, text):
    (directory / "tidings.toml").write_text(text)
    return config.load(None, {}, None, known_features(config.extensions_named(None, {})))


def mistakes(directory, text):
    with pytest.raises(ConfigError) as caught:
        read(directory, text)
    return str(caught.value).splitlines()


def test_an_extension_has_options_like_every_feature(directory):
    found = read(directory, '[server]\nextensions = ["acme-filter"]\n[features.acme]\nsize = 3\n')
    assert found.server.extensions == ("acme-filter",)
    assert found.hosts["localhost"].features["acme"].size == 3
    wrong = '[server]\nextensions = ["acme-filter"]\n[features.acme]\nsize = "big"\nsise = 1\n'
    assert mistakes(directory, wrong) == [
        'tidings.toml:4: `size` in [features.acme] must be a whole number, not "big"',
        "tidings.toml:5: unknown option `sise` in [features.acme]; did you mean `size`?",
    ]


def test_options_are_unknown_of_what_is_not_named(directory):
    [told] = mistakes(directory, "[features.acme]\nsize = 3\n")
    assert told.startswith("tidings.toml:1: unknown section [features.acme]")


def test_the_environment_names_extensions_too(directory):
    variables = {"TIDINGS_SERVER__EXTENSIONS": "acme-filter", "TIDINGS_FEATURES__ACME__SIZE": "7"}
    known = known_features(config.extensions_named(None, variables))
    assert config.load(None, variables, None, known).hosts["localhost"].features["acme"].size == 7


def test_what_is_not_installed_is_told_with_what_is(directory):
    text = '[server]\nextensions = ["acme_filtr"]\n[features.acme]\nsize = 3\n'
    [told] = mistakes(directory, text)
    assert told.startswith('tidings.toml:2: `extensions` in [server]: "acme_filtr" is not installed; ')
    assert told.endswith(
        'did you mean "acme-filter"? installed: '
        '"acme-filter", "archive", "both", "broken", "demanding", "gone", "list", "number", "picky"'
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "of broken 1.0 cannot be imported: ModuleNotFoundError: No module named"),
        ("gone", "of acme 1.0 cannot be imported: AttributeError: "),
        ("number", "of acme 1.0: 5 is no subclass of tidings.api.Feature"),
        ("archive", "of acme 1.0: its feature `archive` has the name of one of Tidings"),
        ("list", "of acme 1.0: its operation account list has the name of one of Tidings"),
        ("picky", "of acme 1.0: 'no operation' in `operations` of picky is no operation"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_reason(directory, name, reason):
    [told] = mistakes(directory, f'[server]\nextensions = ["{name}"]\n')
    assert told.startswith(f'tidings.toml:2: `extensions` in [server]: "{name}" {reason}')


def test_two_extensions_cannot_bring_the_same_feature(directory):
    [told] = mistakes(directory, '[server]\nextensions = ["both", "acme-filter"]\n')
    assert '"acme-filter" of acme 1.0: its feature `acme` has the name of one of acme 1.0' in told


def test_two_packages_cannot_offer_the_same_name(directory):
    write_package(directory.parent / "site", "acme2", SOURCE, acme_filter="Acme")
    [told] = mistakes(directory, '[server]\nextensions = ["acme-filter"]\n')
    assert '"acme-filter" is in several packages: ' in told
    assert "acme2 1.0" in told


def test_check_tells_which_extensions_are_loaded_or_why_not(directory, capsys):
    found = check.extensions_loaded(read(directory, '[server]\nextensions = ["acme-filter"]\n'))
    assert [(each.status, each.text) for each in found] == [("ok", "acme-filter, of acme 1.0: `acme`")]
    (directory / "tidings.toml").write_text('[server]\nextensions = ["nothing"]\n')
    assert cli.main(["check"]) == 1
    assert '"nothing" is not installed' in capsys.readouterr().out.replace("\n", " ")
    assert cli.main(["serve"]) == 2
    assert '"nothing" is not installed' in capsys.readouterr().err


def test_its_operations_are_commands(directory, capsys):
    (directory / "tidings.toml").write_text('[server]\nextensions = ["acme-filter"]\n')
    (directory / "data").mkdir()
    assert cli.main(["acme", "look"]) == 0
    capsys.readouterr()
    assert cli.main(["completion", "candidates", "acme", ""]) == 0
    assert capsys.readouterr().out.startswith("look\t")
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "acme" in capsys.readouterr().out
    (directory / "tidings.toml").write_text('[server]\nextensions = ["acme-filtr"]\n')
    assert cli.main(["acme", "look"]) == 2
    assert '"acme-filtr" is not installed' in capsys.readouterr().err
    assert cli.main(["account", "count"]) == 0


def test_a_feature_can_be_left_out_of_a_domain(directory):
    text = """
[server]
extensions = ["both"]
[features]
disabled = ["carbons"]
[host."one.example".features]
disabled = ["other"]
[host."two.example"]
"""
    found = read(directory, text)
    assert found.hosts["one.example"].disabled == ("other",)
    assert found.hosts["two.example"].disabled == ("carbons",)
    assert found.host("added.example").disabled == ("carbons",)


def test_what_is_required_or_unknown_cannot_be_left_out(directory):
    text = """
[server]
extensions = ["both"]
[features]
disabled = ["acme"]
[host."one.example".features]
disabled = ["carbon", "other", "acme"]
"""
    unknown, required = mistakes(directory, text)
    assert unknown.startswith('tidings.toml:7: `disabled` in [host."one.example".features] names `carbon`, ')
    assert unknown.endswith("which is no feature; did you mean `carbons`?")
    assert required.startswith(
        "tidings.toml:5: `disabled` in [features] names `acme`, which `other` requires; "
    )
    assert required.endswith("disable `other`, too, or neither")


async def test_an_option_without_a_default_must_be_given(directory):
    extension = '[server]\nextensions = ["demanding"]\n'
    [told] = mistakes(directory, extension)
    assert told == "[features.demanding] Missing required argument 'key'"
    found = read(directory, extension + '[features.demanding]\nkey = "secret"\n')
    known = known_features(found.server.extensions)
    world = await World.start(features=known.features, options=found.hosts["localhost"].features)
    [feature] = [each for each in world.server.hosts["localhost"].features if each.name() == "demanding"]
    assert feature.key == "secret"
    await world.stop()
    left_out = read(directory, extension + '[features]\ndisabled = ["demanding"]\n')
    assert left_out.hosts["localhost"].disabled == ("demanding",)


async def test_a_domain_does_without_what_is_left_out():
    world = await World.start(disabled={"other.test": ("carbons",)})
    found = {}
    for domain in ("localhost", "other.test"):
        asker = await world.login(f"alice@{domain}/phone")
        answer = await asker.request(
            f"<iq type='get' id='1' to='{domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        found[domain] = {child.get("var") for child in answer.children[0].children}
    assert found["localhost"] - found["other.test"] == {"urn:xmpp:carbons:2", "urn:xmpp:carbons:rules:0"}
    await world.stop()


async def test_every_feature_can_be_left_out_alone():
    """With what requires it; whoever is left still gets a message."""
    known = known_features()
    for name in known.names:
        disabled = {name, *(each.name() for each in known.features if name in _required(each))}
        world = await World.start(["localhost"], disabled={"localhost": disabled})
        alice, bob = await world.login("alice@localhost/a"), await world.login("bob@localhost/b")
        await alice.send("<message to='bob@localhost/b' type='chat'><body>hello</body></message>")
        assert [each.text_of("body") for each in bob.take("message")] == ["hello"], name
        await world.stop()


def _required(feature):
    return {each.name() for each in feature.requires}
