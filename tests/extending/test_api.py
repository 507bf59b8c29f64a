"""The contract with features of others: which names there are, and that their example needs no others."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from tests.harness.extension import PACKAGE
from tidings import api
from tidings.kernel import events, hooks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "api.md"


def test_the_page_lists_every_name_once_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(api.__all__)
    assert [name for name, told in rows if not told.strip()] == []


def test_what_is_promised_of_a_class_is_there():
    for name, parts in api.PROMISED.items():
        assert name in api.__all__
        of_class = getattr(api, name)
        source = inspect.getsource(of_class)
        for part in parts:
            assert hasattr(of_class, part) or re.search(rf"self\.{part}\b", source), f"{name}.{part}"


def test_every_event_and_every_base_of_events_is_for_everybody():
    bases = hooks.Event.__args__
    of_kernel = {
        thing for thing in vars(events).values() if inspect.isclass(thing) and issubclass(thing, bases)
    }
    assert {each.__name__ for each in (*of_kernel, *bases)} <= set(api.__all__)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.name)
def test_the_package_stands_on_the_api_alone(file):
    imported = {
        name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in _modules(node)
        if name.split(".")[0] == "tidings"
    }
    assert imported <= {"tidings.api"}


def test_nothing_of_the_server_stands_on_the_api():
    """It is a shop window: what it shows is made elsewhere. Only the page about it looks at it."""
    found = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "src" / "tidings").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if "tidings.api" in _modules(node)
        or (isinstance(node, ast.ImportFrom) and node.module == "tidings" and node.names[0].name == "api")
    }
    assert found == {"src/tidings/app/api_reference.py"}


def _modules(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
