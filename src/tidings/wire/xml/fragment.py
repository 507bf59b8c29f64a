"""What a parser gives: StreamHead, Fragment, StreamTail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import msgspec

from tidings.wire.xml.element import Element, attribute_key, decode, split_tag
from tidings.wire.xml.writer import escape_text


@dataclass(slots=True, frozen=True)
class StreamHead:
    """The opening tag of a stream."""

    namespace: str
    name: str
    attributes: dict[str, str]
    content_namespace: str
    """The default namespace that the tag declares, which the stanzas inherit."""


@dataclass(slots=True, frozen=True)
class StreamTail:
    """The closing tag of a stream."""


class Fragment(msgspec.Struct, eq=False, gc=False):
    """A first-level element: its root as values, what it contains as raw bytes.

    `content` are the bytes between the root's tags; they inherit `namespace` as default and lean on no other
    declaration. `index` lists the direct children as (`uri name`, offset in `content`), in order; a child
    reaches to the next one.
    """

    namespace: str
    name: str
    attributes: dict[str, str]
    index: list[tuple[str, int]]
    content: bytes

    @classmethod
    def written(cls, tag: str, attributes: dict[str, str], root: Element) -> Self:
        """Make one of a tree, whose content is written so that it stands alone."""
        parts: list[bytes] = []
        index: list[tuple[str, int]] = []
        length = 0
        for item in root.content:
            if isinstance(item, Element):
                index.append((f"{item.namespace} {item.name}" if item.namespace else item.name, length))
                part = item.to_bytes(root.namespace)
            else:
                part = escape_text(item).encode()
            parts.append(part)
            length += len(part)
        return cls(*split_tag(tag), attributes, index, b"".join(parts))

    def children(self) -> list[tuple[str, str, bytes]]:
        """Give the direct children as (namespace, name, raw bytes)."""
        return list(cut(self.index, self.content))

    def to_element(self) -> Element:
        """Decode the whole as a tree."""
        wrapped = b"<root>" + self.content + b"</root>"
        element = decode(wrapped, self.namespace)
        element.name = self.name
        element.attributes = {attribute_key(key): value for key, value in self.attributes.items()}
        return element


Event = StreamHead | Fragment | StreamTail


def cut(index: list[tuple[str, int]], content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Cut content where its index says that children begin: (namespace, name, raw bytes) of each."""
    ends = [*(offset for _, offset in index[1:]), len(content)]
    for (tag, offset), end in zip(index, ends, strict=False):  # without children there is one end too many
        yield *split_tag(tag), content[offset:end]
