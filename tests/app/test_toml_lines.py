"""The scanner finds the line of every key, whatever the values look like."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from tidings.app.toml_lines import lines_of

TEXT = '''\
# a comment with [brackets] and "quotes"
top = "a # b"

[server]
domains = [
  "one.example",  # with ] in a comment
  "two.example",
]
"quoted key" = 'literal \\'
dotted.name = 1
text = """
[not.a.section]
key = "no key"
"""
after = true
inline = { x = 1, y = { z = [1, 2] } }

[host."example.org".features.ping]
seconds = 3

[[features.external.services]]
host = "a"
[[features.external.services]]
host = "b"
'''


def test_finds_keys_behind_every_kind_of_value():
    lines = lines_of(TEXT)
    assert lines["top",] == 2
    assert lines["server",] == 4
    assert lines["server", "domains"] == 5
    assert lines["server", "domains", 1] == 7
    assert lines["server", "quoted key"] == 9
    assert lines["server", "dotted", "name"] == 10
    assert lines["server", "text"] == 11
    assert lines["server", "after"] == 15
    assert lines["server", "inline", "y", "z"] == 16
    assert lines["host", "example.org", "features", "ping", "seconds"] == 19
    assert lines["features", "external", "services", 0, "host"] == 22
    assert lines["features", "external", "services", 1, "host"] == 24
    assert ("not", "a", "section") not in lines


def test_knows_every_key_that_the_parser_knows():
    def paths(table, before=()):
        for key, value in table.items():
            yield (*before, key)
            if isinstance(value, dict):
                yield from paths(value, (*before, key))

    assert set(paths(tomllib.loads(TEXT))) <= set(lines_of(TEXT))


values = st.one_of(
    st.integers(),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
    st.lists(st.integers()).map(lambda numbers: "[\n" + ",\n".join(map(str, numbers)) + "]"),
    st.just("'''\n[x]\ny = 1\n'''"),
)


@given(st.lists(values, min_size=1, max_size=8))
def test_lines_are_right_for_any_values(given_values):
    text, expected = "", {}
    for number, value in enumerate(given_values):
        expected[f"key{number}",] = text.count("\n") + 1
        shown = str(value).lower() if isinstance(value, bool) else value
        text += f"key{number} = {shown}\n"
    tomllib.loads(text)
    lines = lines_of(text)
    assert {path: lines[path] for path in expected} == expected
