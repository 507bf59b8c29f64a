"""The document: users with their elements, whole but for archives, which are read when they are asked for.

A document may be larger than memory, and may be spread over files by XInclude (XEP-0227 §5): a file that is
included stands for the element that it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from pyexpat import ExpatError, ParserCreate
from typing import Final

import msgspec

from tidings.portable.errors import PortableError
from tidings.wire.xml.element import Element, attribute_key, split_tag
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp import ns

_AT_ONCE: Final = 1 << 16  # octets of a file
_INCLUDE: Final = f"{ns.XINCLUDE} include"
_SERVER_DATA: Final = f"{ns.PIE} server-data"
_HOST: Final = f"{ns.PIE} host"
_USER: Final = f"{ns.PIE} user"
_ARCHIVE: Final = f"{ns.PIE_MAM} archive"
_DEEPEST: Final = 64
"""Files that include each other, one in the other."""


class Span(msgspec.Struct, frozen=True):
    """Where an archive lies: an element of a file, with the prefixes that hold there."""

    path: Path
    start: int
    end: int
    prefixes: Mapping[str, str]


class User(msgspec.Struct, frozen=True):
    """One user as it stands in the document."""

    host: str
    name: str
    password: str | None
    elements: tuple[Element, ...]
    archives: tuple[Span, ...]


class _Include(msgspec.Struct, frozen=True):
    """A file that stands where it is named."""

    path: Path


def users_of(path: Path) -> Iterator[User]:
    """Give the users of a document, in its order; raises `PortableError`."""
    yield from _users(path, "", 0)


def children_of(span: Span) -> Iterator[Element]:
    """Give the elements of an archive, in its order; raises `PortableError`."""
    scope = "".join(
        f' xmlns{":" * bool(prefix)}{prefix}="{escape_attribute(uri)}"'
        for prefix, uri in span.prefixes.items()
    )
    reader = _Reader(span.path, below=2)  # the scope and the archive
    reader.feed(f"<scope{scope}>".encode())
    try:
        with span.path.open("rb") as file:
            file.seek(span.start)
            while (left := span.end - file.tell()) > 0:
                reader.feed(file.read(min(left, _AT_ONCE)))
                yield from reader.taken()
    except OSError as error:
        raise _unreadable(span.path, error) from None


def _users(path: Path, host: str, depth: int) -> Iterator[User]:
    if depth > _DEEPEST:
        raise PortableError(f"{path}: files include each other without end")
    reader = _UserReader(path, host)
    try:
        with path.open("rb") as file:
            while octets := file.read(_AT_ONCE):
                reader.feed(octets)
                yield from _resolved(reader, depth)
    except OSError as error:
        raise _unreadable(path, error) from None
    reader.close()
    yield from _resolved(reader, depth)


def _resolved(reader: _UserReader, depth: int) -> Iterator[User]:
    """Give what a file has told so far, with what it includes in its place."""
    for found in reader.found():
        if isinstance(found, _Include):
            yield from _users(found.path, reader.host, depth + 1)
        else:
            user, included = found
            for path in included:
                user = _with_file(user, path)
            yield user


def _with_file(user: User, path: Path) -> User:
    """Give a user with the element that a file of its own holds."""
    reader = _UserReader(path, user.host, is_of_user=True)
    try:
        with path.open("rb") as file:
            while octets := file.read(_AT_ONCE):
                reader.feed(octets)
    except OSError as error:
        raise _unreadable(path, error) from None
    reader.close()
    return msgspec.structs.replace(
        user,
        elements=(*user.elements, *reader.elements),
        archives=(*user.archives, *reader.archives),
    )


def _unreadable(path: Path, error: OSError) -> PortableError:
    return PortableError(f"{path} cannot be read: {error.strerror}")


class _Reader:
    """Builds the elements at one depth of a file."""

    def __init__(self, path: Path, *, below: int = 0) -> None:
        """Begin to take the elements that have so many around them."""
        self._path = path
        self._depth = 0
        self._below = below
        self._stack: list[Element] = []
        self._taken: list[Element] = []
        expat = self._expat = ParserCreate(None, " ")
        expat.buffer_text = True
        expat.StartElementHandler = self._start
        expat.EndElementHandler = self._end
        expat.CharacterDataHandler = self._text
        expat.EntityDeclHandler = self._refuse_entities

    def taken(self) -> list[Element]:
        """Give the elements that have ended since this was asked last."""
        taken, self._taken = self._taken, []
        return taken

    def feed(self, octets: bytes, *, is_last: bool = False) -> None:
        """Read on."""
        try:
            self._expat.Parse(octets, is_last)
        except ExpatError as error:
            told = f"{self._path}, line {error.lineno}: is no well-formed XML: {error}"
            raise PortableError(told) from None

    def close(self) -> None:
        """Say that the file ends here."""
        self.feed(b"", is_last=True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._stack or self._depth == self._below:
            namespace, name = split_tag(tag)
            element = Element(name, namespace)
            element.attributes = {attribute_key(key): value for key, value in attributes.items()}
            if self._stack:
                self._stack[-1].content.append(element)
            self._stack.append(element)
        self._depth += 1

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if self._stack:
            element = self._stack.pop()
            if not self._stack:
                self._taken.append(element)

    def _text(self, text: str) -> None:
        if self._stack:
            self._stack[-1].content.append(text)

    def _refuse_entities(self, *_details: object) -> None:
        raise PortableError(f"{self._path}: declares entities, which no server writes")


class _UserReader(_Reader):
    """Finds users and what is included in one file."""

    def __init__(self, path: Path, host: str, *, is_of_user: bool = False) -> None:
        """Begin; `is_of_user` says that the file holds an element of a user."""
        super().__init__(path)
        self.host = host
        self.elements: list[Element] = []
        self.archives: list[Span] = []
        self._user: dict[str, str] | None = {} if is_of_user else None
        self._user_depth = 0 if is_of_user else -1
        self._included: list[Path] = []
        self._found: list[_Include | tuple[User, list[Path]]] = []
        self._skipping = 0
        self._archive_start = 0
        self._archive_scope: dict[str, str] = {}
        self._scopes: dict[str, list[str]] = {}
        self._expat.StartNamespaceDeclHandler = self._open_scope
        self._expat.EndNamespaceDeclHandler = self._close_scope

    def found(self) -> list[_Include | tuple[User, list[Path]]]:
        """Give the users that have ended since this was asked last, and files that stand in their place."""
        found, self._found = self._found, []
        return found

    def _open_scope(self, prefix: str | None, uri: str | None) -> None:
        self._scopes.setdefault(prefix or "", []).append(uri or "")

    def _close_scope(self, prefix: str | None) -> None:
        self._scopes[prefix or ""].pop()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._skipping:
            self._skipping += 1
        elif self._stack:
            super()._start(tag, attributes)
            return
        elif tag == _INCLUDE:
            self._include(attributes)
        elif self._user is None:
            self._open(tag, attributes)
        elif tag == _ARCHIVE:
            self._skipping = 1
            self._archive_start = self._expat.CurrentByteIndex
            self._archive_scope = {prefix: uris[-1] for prefix, uris in self._scopes.items() if uris}
        else:
            self._below = self._depth
            super()._start(tag, attributes)
            return
        self._depth += 1

    def _open(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == _HOST:
            self.host = attributes.get("jid", "")
        elif tag == _USER:
            self._user, self._user_depth = attributes, self._depth
        elif tag != _SERVER_DATA and not self._depth:
            raise PortableError(f"{self._path}: is no document of XEP-0227: it begins with {tag!r}")

    def _include(self, attributes: dict[str, str]) -> None:
        href = attributes.get("href", "")
        path = self._path.parent / href
        if not href or "://" in href or "parse" in attributes or "xpointer" in attributes:
            raise PortableError(f"{self._path}: includes {href!r}, which is no file beside it")
        if self._user is None:
            self._found.append(_Include(path))
        else:
            self._included.append(path)

    def _end(self, tag: str) -> None:
        if self._stack:
            super()._end(tag)
            if not self._stack:
                self.elements += self.taken()
            return
        self._depth -= 1
        if self._skipping:
            self._skipping -= 1
            if not self._skipping:
                self._close_archive()
        elif self._user is not None and self._depth == self._user_depth:
            self._close_user(self._user)

    def _close_archive(self) -> None:
        # The index is that of the tag's first octet, which an empty element has in common with its start.
        end = self._expat.CurrentByteIndex
        if end > self._archive_start:
            self.archives.append(Span(self._path, self._archive_start, end, self._archive_scope))

    def _close_user(self, attributes: dict[str, str]) -> None:
        user = User(
            self.host,
            attributes.get("name", ""),
            attributes.get("password"),
            tuple(self.elements),
            tuple(self.archives),
        )
        self._found.append((user, self._included))
        self.elements, self.archives, self._included = [], [], []
        self._user, self._user_depth = None, -1
