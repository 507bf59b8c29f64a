"""Files of accounts, in CSV with a header or in JSON lines: a line is an account, or wrong for a reason."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, TextIO

from tidings.base.errors import TidingsError
from tidings.operations.account_import import ImportedAccount
from tidings.operations.characters import check_characters
from tidings.operations.errors import OperationError
from tidings.operations.values import to_request

COLUMNS: Final = (
    "user",
    "password",
    "mechanism",
    "iterations",
    "salt",
    "stored_key",
    "server_key",
    "created",
    "name",
    "contacts",
    "invitation",
)
"""What the header of a CSV file may have, in any order."""

_KEYS: Final = COLUMNS[2:7]
_ANSWERS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class Line(NamedTuple):
    """One line of a file: the account that it has, or what is wrong with it."""

    number: int
    account: dict[str, Any]
    problem: str = ""


class UnreadableFileError(TidingsError):
    """The file as a whole cannot be read: it is not there, or its header is wrong."""


def read(file: TextIO) -> Iterator[Line]:
    """Go through the accounts of a file; raises `UnreadableFileError`."""
    lines = enumerate(file, 1)
    number, text = next((each for each in lines if each[1].strip()), (0, ""))
    if not text:
        return
    if text.lstrip().startswith("{"):
        accounts = _read_json(itertools.chain([(number, text)], lines))
    else:
        accounts = _read_csv(text, number, (each for _, each in lines))
    for line in accounts:
        yield line if line.problem else _checked(line)


def _checked(line: Line) -> Line:
    """Say what is wrong with an account, where something is."""
    try:
        check_characters(line.account)
        to_request(line.account, ImportedAccount)
    except OperationError as error:
        return line._replace(problem=error.text)
    return line


def _read_json(lines: Iterable[tuple[int, str]]) -> Iterator[Line]:
    for number, text in lines:
        if not text.strip():
            continue
        try:
            account = json.loads(text)
        except ValueError as error:
            yield Line(number, {}, f"it is no JSON: {error}")
            continue
        if isinstance(account, dict):
            yield Line(number, account)
        else:
            yield Line(number, {}, "it is no JSON object")


def _read_csv(header: str, first: int, lines: Iterator[str]) -> Iterator[Line]:
    delimiter = ";" if header.count(";") > header.count(",") else ","
    columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter))]
    _check_header(columns)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number = first + rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(number, {}, f"it is no CSV: {error}")
            continue
        if len(row) > len(columns):
            yield Line(number, {}, f"it has {len(row)} values, and the header names {len(columns)}")
        elif any(row):
            values = dict(zip(columns, (value.strip() for value in row), strict=False))
            yield _account(number, {name: value for name, value in values.items() if value})


def _check_header(columns: list[str]) -> None:
    known = ", ".join(COLUMNS)
    for name in columns:
        if name not in COLUMNS:
            raise UnreadableFileError(
                f"the header names a column {name!r}; there are: {known}; or write a JSON object a line"
            )
    if "user" not in columns or len(set(columns)) < len(columns):
        raise UnreadableFileError(f"the header must name `user`, and no column twice; there are: {known}")


def _account(number: int, values: dict[str, Any]) -> Line:
    """Make an account of what the columns have."""
    keys = {name: values.pop(name) for name in _KEYS if name in values}
    if "iterations" in keys:
        try:
            keys["iterations"] = int(keys["iterations"])
        except ValueError:
            return Line(number, values, "`iterations` is no number")
    if keys:
        values["scram"] = [keys]
    if "invitation" in values:
        answer = _ANSWERS.get(values["invitation"].lower())
        if answer is None:
            return Line(number, values, "`invitation` is yes or no")
        values["invitation"] = answer
    if "contacts" in values:
        values["contacts"] = [{"jid": jid} for jid in values["contacts"].split()]
    return Line(number, values)
