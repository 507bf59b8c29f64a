"""The reference pages are made from the code, and told to be stale when they are not."""

import re

from tidings.app import arguments, commands, config, hook_reference, reference, share_reference
from tidings.app.known_features import known_features
from tidings.base.errors import STANZA_ERROR_KINDS
from tidings.operations.all import CATALOGUE


def test_pages_are_written_once_and_compared(tmp_path, capsys):
    assert reference.main(["--check"], tmp_path) == 1
    assert (
        "docs/reference/configuration.md is not what the code declares; run: make gen"
        in capsys.readouterr().err
    )
    assert reference.main([], tmp_path) == 0
    assert reference.main(["--check"], tmp_path) == 0
    for name in ("docs/reference/operations.md", "src/tidings/app/shipped/commands.json"):
        (tmp_path / name).write_text("old")
        assert reference.main(["--check"], tmp_path) == 1
        assert f"{name} is not what the code declares" in capsys.readouterr().err
        assert reference.main([], tmp_path) == 0


def test_pages_name_everything_there_is():
    pages = reference.pages()
    for section in ("server", "listen.https", "limits", 'host."example.org"'):
        assert f"## `[{section}]`" in pages["configuration.md"]
    known = known_features()
    for name in known.options:
        assert pages["configuration.md"].count(f"## `[features.{name}]`\n") == 1
    for one in CATALOGUE:
        assert f"### {one.category} {one.name}\n" in pages["operations.md"]
        assert f"### tidings {one.category} {one.name}\n" in pages["command-line.md"]
    for feature in known.features:
        for spec in feature.specs():
            assert f"| {spec.document} |" in pages["standards.md"]
    assert "`tidings_logins_total`" in pages["metrics.md"]


def test_the_command_line_knows_the_operations_as_the_catalogue_has_them():
    assert commands.shipped() == tuple(map(arguments.command_of, CATALOGUE))


def test_every_option_of_every_feature_is_described():
    for line in reference.pages()["configuration.md"].splitlines():
        if line.startswith("| `"):
            description = line.split("|")[2].partition(" *")[0].strip()
            assert description, line


KEEPING = {
    "archive",
    "archive_preferences",
    "blocking",
    "displayed_sync",
    "personal_eventing",
    "presence",
    "private_storage",
    "pubsub",
    "reporting",
    "room_limits",
    "roster",
    "upload",
    "vcard",
}
"""The features that keep what an account, or a stranger through it, gives them."""


def test_the_page_of_shares_lists_each_with_its_default_and_its_error():
    page, known = reference.pages()["shares.md"], known_features()
    found = list(share_reference.shares(known))
    assert {each.section for each in found} == KEEPING
    for each in found:
        assert page.count(f"| `[features.{each.section}]` | `{each.option}` |") == 1
        assert each.default == getattr(known.options[each.section](), each.option)
        is_error = each.beyond in STANZA_ERROR_KINDS
        assert is_error or " " in each.beyond
    for section in KEEPING:
        assert any("octets" in each.description.lower() for each in found if each.section == section)


def test_the_shipped_profile_fits_the_features_there_are():
    found = config.load(None, {}, None, known_features(), profile="interop")
    assert found.hosts["localhost"].features["registration"].open


async def test_the_hooks_page_tells_of_every_event_who_listens_in_the_order_in_which_they_run(world):
    page = "\n".join(hook_reference.page())
    hooks = world.server.hosts["localhost"].hooks
    for event in hook_reference.catalogue():
        _, _, section = page.partition(f"\n## {event.__name__}\n")
        listed = re.findall(r"^\d+\. `(\w+)`: `[\w.]+\.(\w+)`", section.partition("\n## ")[0], re.MULTILINE)
        runs = [(each.feature, each.handler.__name__) for each in hooks.listeners(event)]
        assert listed == runs, event


def test_the_hooks_page_tells_what_an_event_is_and_carries():
    section = reference.pages()["hooks.md"].partition("\n## MessageDelivered\n")[2]
    assert section.startswith("\n*Fact.* A message has come to a local account.")
    assert "| `stanza` | `Stanza` | The message as devices see it" in section
