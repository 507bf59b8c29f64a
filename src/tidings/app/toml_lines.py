"""Tells on which line of a TOML text each key stands, which the standard library's parser does not.

The text has already been accepted by `tomllib`, so this scanner only has to find its way, not to judge.
"""

import re
from typing import Final

Path = tuple[str | int, ...]
"""Where a value is: names of tables and keys; a number is the position in an array of tables."""

_SPACE: Final = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_KEY_PART: Final = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)')[ \t]*""")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_PLAIN: Final = re.compile(r"[^,\]}\n#]+")


def lines_of(text: str) -> dict[Path, int]:
    """Map the path of every table and key to the number of its line, counted from 1."""
    return _Scanner(text).scan()


class _Scanner:
    """One walk over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_space():
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)
        return self._lines

    def _skip_space(self) -> bool:
        match = _SPACE.match(self._text, self._at)
        assert match
        self._at = match.end()
        return self._at < len(self._text)

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, self._line())

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while match := _KEY_PART.match(self._text, self._at):
            bare, quoted, literal = match.groups()
            keys.append(bare or literal or _unescape(quoted or ""))
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return keys

    def _header(self, brackets: int) -> Path:
        line = self._line()
        self._at += brackets
        keys = self._keys()
        self._at += brackets
        path: Path = ()
        for position, key in enumerate(keys, 1):
            path = (*path, key)
            if brackets == 2 and position == len(keys):
                self._arrays[path] = self._arrays.get(path, -1) + 1
            self._lines.setdefault(path, line)
            if path in self._arrays:
                path = (*path, self._arrays[path])
                self._lines.setdefault(path, line)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        start = self._at
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        if self._at == start:  # cannot happen in a valid text; never stand still
            self._at = len(self._text)
            return
        self._at += 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip_space()
        if self._at >= len(self._text):
            return
        character = self._text[self._at]
        if character == "[":
            self._list(path)
        elif character == "{":
            self._inline_table(path)
        else:
            match = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _list(self, path: Path) -> None:
        self._at += 1
        position = 0
        while self._skip_space() and self._text[self._at] != "]":
            self._note((*path, position))
            self._value((*path, position))
            position += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip_space() and self._text[self._at] != "}":
            self._pair(path)
        self._at += 1


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    import tomllib  # noqa: PLC0415  # hardly ever needed

    return str(tomllib.loads(f'key = "{text}"')["key"])
