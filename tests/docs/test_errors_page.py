"""The page about errors has a row for each condition that the code knows, and says what the code does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.base.errors import STANZA_ERROR_KINDS
from tidings.wire.xmpp.sasl.steps import Condition

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/specs/errors.md").read_text(encoding="utf-8")
STREAM_CONDITIONS = [
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "see-other-host",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
]
"""RFC 6120 §4.9.3, in its order."""
READERS = {"error_of", "read_stream_error"}
"""Functions that read the errors of others."""


def rows(section: int) -> dict[str, list[str]]:
    """Give the cells of a section's table by what its first column says."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)[section]
    lines = [
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| condition")
    ]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): others for first, *others in cells}


def never(section: int) -> set[str]:
    return {name for name, cells in rows(section).items() if cells[-1].startswith("Never")}


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Give the calls of these names with a literal condition, but for what reads the errors of others."""
    for path in (ROOT / "src").rglob("*.py"):
        waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef) and node.name in READERS:
                continue
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, node


def test_the_stream_errors_are_those_of_the_document() -> None:
    assert list(rows(1)) == STREAM_CONDITIONS
    sent = {condition for condition, _ in calls("StreamError", "Refuse")}
    assert len(sent) > 15
    assert sent <= set(STREAM_CONDITIONS)
    assert not sent & never(1)


def test_an_undefined_condition_never_stands_alone() -> None:  # RFC 6120 §4.9.3.21
    found = [call for condition, call in calls("StreamError", "Refuse") if condition == "undefined-condition"]
    assert found
    assert all(any(word.arg == "payload" for word in call.keywords) for call in found)


def test_the_sasl_failures_are_those_that_mechanisms_know() -> None:
    assert list(rows(2)) == [*Condition]


def test_the_stanza_errors_have_the_types_of_the_code() -> None:
    assert {name: kind for name, (kind, _) in rows(3).items()} == STANZA_ERROR_KINDS
    sent = {condition for condition, _ in calls("StanzaError")}
    assert not sent & never(3)
    assert sent | never(3) | {"policy-violation"} >= set(
        STANZA_ERROR_KINDS
    )  # what exceeds a share says that one


@pytest.mark.parametrize(
    "condition", ["bad-request", "feature-not-implemented", "item-not-found", "unexpected-request"]
)
def test_the_failures_of_stream_management_are_on_the_page(condition: str) -> None:
    assert any(f"`<failed/>`, `{condition}`" in answer for (answer,) in rows(4).values())
