"""What the reference pages are made of: the texts of classes and their attributes, written for Markdown."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap


def attribute_docs(described: object) -> dict[str, str]:
    """Read the texts that stand below the attributes of a class, or below the constants of a module."""
    body = ast.parse(textwrap.dedent(inspect.getsource(described))).body  # type: ignore[arg-type]  # either
    if inspect.isclass(described):
        [definition] = body
        assert isinstance(definition, ast.ClassDef)
        body = definition.body
    told: dict[str, str] = {}
    for attribute, text in itertools.pairwise(body):
        match attribute, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                told[name] = said
    return told


def first_sentence(text: str) -> str:
    """Give the first paragraph of a docstring up to its first full stop."""
    paragraph = cell(text.strip().partition("\n\n")[0])
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


def cell(text: str) -> str:
    """Write a text for a cell of a table: in one line, with bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")
