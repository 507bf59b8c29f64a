"""What is said of a wrong request: the field, what it has to be, and nothing of how it is read."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import Operation
from tidings.operations.errors import OperationError
from tidings.operations.values import to_request

ODD: tuple[Any, ...] = (
    *(None, True, -1, 1, 1.5, 10**9, 10**30, "", "x", "2026", "x" * 10_000, "a@b@c"),
    *([], ["x"], [1], [None], [[]], [{}], {}, {"a": 1}),
)
JARGON = re.compile(
    r"Expected|\bstr\b|\bint\b|\bbool\b|\barray\b|\$|Object|enum|None\b|True\b|False\b|\| null|dict|tuple"
)


def said(arguments: object, operation: Operation) -> str:
    """Give what is said of a request, "" where nothing is wrong with it."""
    try:
        to_request(arguments, operation.request)
    except OperationError as error:
        return error.text
    return ""


@pytest.mark.parametrize("operation", list(CATALOGUE), ids=lambda each: f"{each.category}-{each.name}")
def test_of_every_field_of_every_operation_it_is_said_in_plain_words(operation: Operation) -> None:
    names = [field.name for field in msgspec.structs.fields(operation.request)]
    for name in names:
        for value in ODD:
            text = said({name: value}, operation)
            assert not JARGON.search(text), text
            assert not text or any(re.search(rf"`{each}\b", text) for each in names), text
            assert len(text) < 300


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("account list", {"limit": "x"}, '`limit` must be a whole number from 1 to 1000, not "x"'),
        ("account list", {"limit": None}, "`limit` must be a whole number from 1 to 1000, not null"),
        ("account list", [], "the request must be an object with the fields `domain`, `search`, `banned`"),
        ("account register", {"user": "a@b.example"}, "`password` is missing"),
        ("account register", {"user": "a@b.example", "password": 12345}, "`password` must be a text"),
        (
            "account register",
            {"user": "a@b@c", "password": "x"},
            '`user` is wrong: "a@b@c" is not an address: ',
        ),
        (
            "account ban",
            {"user": "a@b.example", "reason": 1},
            "`reason` must be a text of at most 1000 characters",
        ),
        ("account import", {"accounts": [{}]}, "`accounts[0].user` is missing"),
        (
            "account import",
            {"accounts": [{"user": "a@b.example", "password": 5}]},
            "`accounts[0].password` must be a text",
        ),
        (
            "domain add",
            {"domain": "b.example", "administrators": ["a@b.example", 7]},
            "`administrators[1]` is wrong: 7 is not an address: it must be a text",
        ),
        (
            "stanza send-message",
            {"to": "a@b.example", "body": "x", "kind": "caht"},
            '`kind` must be one of `chat`, `headline`, `normal`, not "caht"',
        ),
        (
            "retention erase-message",
            {"user": "a@b.example", "id": "x", "everywhere": "yes"},
            '`everywhere` must be true or false, not "yes"',
        ),
    ],
)
def test_the_field_and_what_is_right_are_named(name: str, arguments: object, text: str) -> None:
    assert said(arguments, CATALOGUE.get(*name.split())).startswith(text)


def test_a_password_that_is_wrong_is_not_repeated() -> None:
    assert "sesame" not in said(
        {"user": "a@b.example", "password": ["sesame"]}, CATALOGUE.get("account", "register")
    )
