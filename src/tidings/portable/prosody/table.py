"""Table: Prosody's values, as it writes them in Lua into files and in JSON into databases.

A table has named fields, a list, and perhaps a value under the key `false`, where Prosody puts what belongs
to the whole. Strings are octets there: what is no UTF-8 has replacement characters here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

Value: TypeAlias = "bool | int | float | str | Table | None"


class Table(msgspec.Struct):
    """A table of Lua."""

    fields: dict[str, Value] = {}
    items: list[Value] = []
    whole: Value = None
    """What stands under the key `false`."""

    def text(self, name: str) -> str:
        """Give a field that is a text; empty where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """Give a field that is a number, or a text that says one."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            return float(value)
        except ValueError:
            return None

    def table(self, name: str) -> Table | None:
        """Give a field that is a table."""
        value = self.fields.get(name)
        return value if isinstance(value, Table) else None

    def put(self, key: Value, value: Value) -> None:
        """Put a value under a key; items come in the order of their numbers."""
        if key is False:
            self.whole = value
        elif isinstance(key, str):
            self.fields[key] = value
        elif isinstance(key, int):
            self.items.append(value)


def read_lua(text: str) -> Table:
    """Read `return {…}` or `item({…})`, of which the octets are characters; raises `ValueError`."""
    lua = _Lua(text)
    lua.skip(_BEGINNING)
    value = lua.value()
    if not isinstance(value, Table):
        raise ValueError("is no table")
    return value


def read_json(text: str) -> Value:
    """Read a value as Prosody writes it in JSON; raises `ValueError`."""
    return _of_json(json.loads(text))


_DEEPEST: Final = 200
_BEGINNING: Final = re.compile(r"\s*(?:return\b|item\b)?\s*\(?")
_BETWEEN: Final = re.compile(r"(?:\s|--[^\n]*)*")
_SEPARATOR: Final = re.compile(r"[;,]?")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_NUMBER: Final = re.compile(r"\(-?[01]/0\)|-?(?:0x[0-9a-fA-F]+|[0-9.]+(?:[eE][+-]?[0-9]+)?)")
_NAME: Final = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)")
_WORD: Final = re.compile(r"true\b|false\b|nil\b")
_WORDS: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "nil": None}
_ESCAPE: Final = re.compile(r"\\(?:(\d{1,3})|(.))", re.DOTALL)
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class _Lua:
    """A text that is read from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Pass over what may be there."""
        found = pattern.match(self._text, self._at)
        assert found is not None  # it matches nothing, too
        self._at = found.end()

    def value(self) -> Value:
        """Read a value."""
        if self._has("{"):
            return self._table()
        if (found := self._take(_STRING)) is not None:
            return _ESCAPE.sub(_unescaped, found[1]).encode("latin-1").decode("utf-8", "replace")
        if (found := self._take(_WORD)) is not None:
            return _WORDS[found[0]]
        if (found := self._take(_NUMBER)) is not None:
            return _number(found[0])
        raise self._wrong("a value")

    def _table(self) -> Table:
        table = Table()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} tables lie in each other")
        while not self._has("}"):
            if self._has("["):
                key = self.value()
                self._expect("]")
                self._expect("=")
                table.put(key, self.value())
            elif (found := self._take(_NAME)) is not None:
                table.fields[found[1]] = self.value()
            else:
                table.items.append(self.value())
            self._take(_SEPARATOR)
        self._depth -= 1
        return table

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self.skip(_BETWEEN)
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _has(self, sign: str) -> bool:
        self.skip(_BETWEEN)
        if not self._text.startswith(sign, self._at):
            return False
        self._at += 1
        return True

    def _expect(self, sign: str) -> None:
        if not self._has(sign):
            raise self._wrong(sign)

    def _wrong(self, wanted: str) -> ValueError:
        found = self._text[self._at : self._at + 20]
        return ValueError(f"has {found!r} where {wanted} should be" if found else "ends within a table")


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1]) & 255) if found[1] else _LETTERS.get(found[2], found[2])


def _number(text: str) -> int | float:
    if text.startswith("("):
        return float("nan" if "0/" in text else "-inf" if "-" in text else "inf")
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _of_json(value: object) -> Value:
    if isinstance(value, list):
        return Table(items=[_of_json(each) for each in value])
    if isinstance(value, dict):
        return _table_of_json(value)
    assert value is None or isinstance(value, bool | int | float | str)  # there is nothing else in JSON
    return value


def _table_of_json(value: Mapping[str, object]) -> Table:
    """Read a table: `__array` are its items, and `__hash` its other keys, each before its value."""
    table = Table()
    for name, each in value.items():
        if name == "__array" and isinstance(each, list):
            table.items = [_of_json(item) for item in each]
        elif name == "__hash" and isinstance(each, list):
            for key, kept in zip(each[::2], each[1::2], strict=False):
                table.put(_of_json(key), _of_json(kept))
        else:
            table.fields[name] = _of_json(each)
    return table
