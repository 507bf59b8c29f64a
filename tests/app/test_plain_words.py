"""What is said of a wrong option, of a file that is no TOML, and of a wrong command line: no jargon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.app import cli, config, schema, whereabouts
from tidings.app.known_features import known_features
from tidings.app.mistakes import ConfigError

ODD = (
    *(True, -1, 10**30, 1.5, "", "x", "2026", [], ["x"], [1], [[]], [{}], [{"a": 1}], {}),
    *([{"url": 1}], {"a": 1}),
)
JARGON = re.compile(r"[Ee]xpected `|`str`|`int`|`bool`|`array`|`object`|\$\[|Object|enum\b|Invalid|None\b")


def leaves(table: schema.Table, place: str = "") -> Iterator[tuple[str, schema.Leaf]]:
    """Go through every option of a section and of those in it."""
    for name, entry in table.entries.items():
        if isinstance(entry, schema.Table):
            yield from leaves(entry, f"{place}{name}.")
            if entry.every is not None:
                yield from leaves(entry.every, f"{place}{name}.NAME.")
        else:
            yield f"{place}{name}", entry


def said(leaf: schema.Leaf, value: object) -> str:
    """Give what is said of a value, "" where nothing is wrong with it."""
    try:
        leaf.convert(value)
    except ValueError as error:
        return str(error)
    return ""


def test_of_every_option_it_is_said_in_plain_words() -> None:
    found = dict(leaves(schema.build(known_features(()))))
    assert len(found) > 100
    for name, leaf in found.items():
        for text in filter(None, (said(leaf, value) for value in ODD)):
            assert text.startswith("must be "), name
            assert not JARGON.search(text), f"{name}: {text}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tls]\nminimum_version = 1.2", 'must be one of `"1.2"`, `"1.3"`, not 1.2'),
        (
            '[server]\nmechanisms = ["scram-sha-1"]',
            '"scram-sha-1" is something else; did you mean `"SCRAM-SHA-1"`?',
        ),
        ("[server]\ndomains = [1]", 'must be a list of texts, such as ["one", "two"]; 1 is something else'),
        ("[server]\ncreate_admins = [1]", "number 1 is something else"),
        (
            "[log]\nlevel = debug",
            "Invalid value; texts stand in quotes, true and false are written in small letters",
        ),
        ("[log]\n[log]", "is not valid TOML: [log] stands there twice"),
        ('[log]\nlevel = "info"\nlevel = "debug"', "an option or a section stands there twice"),
        ('[server]\ndata_dir = "C:\\data"', "write each \\ of a text twice"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_what_is_right(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "t.toml", {})
    assert told in str(caught.value)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_bytes(b'\xef\xbb\xbf[server]\ndomains = ["a.example"]\ndata_dir = "there"\n')
    assert config.load(file, {}).domains == ("a.example",)
    found = whereabouts.find(str(file), None, {})
    assert found is not None
    assert found.admin_socket == tmp_path / "there" / "admin.sock"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("account list --limit many", "--limit must be a whole number, not 'many'"),
        ("account list --limit", "--limit needs a value"),
        ("account list --json=yes", "--json takes no value, and was given 'yes'"),
        ("account ban", "missing: --user"),
        ("account list more", "more: there is no place for this"),
        ("account list --d x", "--d may mean several: --domain, --data-dir"),
        ("stanza send-message --kind caht", "there is no 'caht'; did you mean `chat`?"),
    ],
)
def test_what_is_wrong_on_a_command_line_is_said_plainly(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 2
    assert f": {told}\n" in capsys.readouterr().err
