"""Element: one payload as a tree, for building and for decoding on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pyexpat import ExpatError, ParserCreate

from tidings.wire.xml.writer import check_characters, escape_attribute, escape_text

XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_LANG = f"{XML_NAMESPACE} lang"


class Element:
    """A name in a namespace, attributes, and content: elements and text in the order of the document.

    Attributes in a namespace are keyed `{uri}name`, but `xml:lang` is keyed so. Two elements are equal when
    their trees are.
    """

    __slots__ = ("attributes", "content", "name", "namespace")

    def __init__(
        self,
        name: str,
        namespace: str,
        attributes: Mapping[str, str] | None = None,
        *content: Element | str,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.attributes: dict[str, str] = dict(attributes) if attributes else {}
        self.content: list[Element | str] = list(content)

    @property
    def children(self) -> list[Element]:
        """The elements directly below, in order."""
        return [item for item in self.content if isinstance(item, Element)]

    @property
    def text(self) -> str:
        """The text directly below, joined."""
        return "".join(item for item in self.content if isinstance(item, str))

    def get(self, attribute: str, default: str | None = None) -> str | None:
        """Give the attribute's value, or the default where it is missing."""
        return self.attributes.get(attribute, default)

    def find(self, name: str, namespace: str | None = None) -> Element | None:
        """Give the first child of that name; the namespace defaults to the element's own."""
        return next(self.find_all(name, namespace), None)

    def find_all(self, name: str, namespace: str | None = None) -> Iterator[Element]:
        """Give the children of that name in order; the namespace defaults to the element's own."""
        wanted = self.namespace if namespace is None else namespace
        for item in self.content:
            if isinstance(item, Element) and item.name == name and item.namespace == wanted:
                yield item

    def text_of(self, name: str, namespace: str | None = None) -> str | None:
        """Give the text of the first child of that name, or None where there is none."""
        child = self.find(name, namespace)
        return None if child is None else child.text

    def append(self, item: Element | str) -> None:
        """Add an element or text at the end."""
        self.content.append(item)

    def to_bytes(self, default_namespace: str = "") -> bytes:
        """Write the tree for a place where this is the default namespace.

        Raises `ValueError` when a text holds a character that XML cannot carry.
        """
        parts: list[str] = []
        self._write(parts, default_namespace)
        return check_characters("".join(parts)).encode()

    def _write(self, parts: list[str], default_namespace: str) -> None:
        name, inherited = self.name, self.namespace
        if inherited == XML_NAMESPACE:  # no prefix but its own may stand for it, and it may be no default
            name, inherited = f"xml:{name}", default_namespace
        parts.append(f"<{name}")
        if inherited != default_namespace:
            parts.append(f' xmlns="{escape_attribute(inherited)}"')
        parts.append(self.written_attributes())
        if not self.content:
            parts.append("/>")
            return
        parts.append(">")
        for item in self.content:
            if isinstance(item, str):
                parts.append(escape_text(item))
            else:
                item._write(parts, inherited)  # noqa: SLF001  # its own class
        parts.append(f"</{name}>")

    def written_attributes(self) -> str:
        """Write the attributes as they stand in a tag, each after a space."""
        parts: list[str] = []
        for number, (key, value) in enumerate(self.attributes.items()):
            if key.startswith("{"):
                namespace, _, local = key[1:].rpartition("}")
                parts.append(write_attribute(namespace, local, value, number))
            else:
                parts.append(f' {key}="{escape_attribute(value)}"')
        return "".join(parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return (
            self.name == other.name
            and self.namespace == other.namespace
            and self.attributes == other.attributes
            and _joined(self.content) == _joined(other.content)
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Element({self.to_bytes().decode()})"


def _joined(content: list[Element | str]) -> list[Element | str]:
    """Join neighbouring texts and drop empty ones, so that equal documents compare equal."""
    joined: list[Element | str] = []
    for item in content:
        if isinstance(item, str) and joined and isinstance(joined[-1], str):
            joined[-1] += item
        elif item != "":
            joined.append(item)
    return joined


def split_tag(tag: str) -> tuple[str, str]:
    """Split what expat calls an element, `uri name`, into namespace and name."""
    namespace, _, name = tag.rpartition(" ")
    return namespace, name


def write_attribute(namespace: str, name: str, value: str, number: int) -> str:
    """Write an attribute in a namespace; the number makes its prefix differ from those beside it."""
    if namespace == XML_NAMESPACE:
        return f' xml:{name}="{escape_attribute(value)}"'
    declaration = f' xmlns:a{number}="{escape_attribute(namespace)}"'
    return f'{declaration} a{number}:{name}="{escape_attribute(value)}"'


def attribute_key(key: str) -> str:
    """Turn what expat calls an attribute, `uri name` or `name`, into an Element's key."""
    if " " not in key:
        return key
    if key == _LANG:
        return "xml:lang"
    namespace, name = split_tag(key)
    return f"{{{namespace}}}{name}"


def decode(raw: bytes, default_namespace: str, prefixes: Mapping[str, str] | None = None) -> Element:
    """Read one element that stands where this default namespace and these prefixes are in scope.

    Text beside the element is passed over. Raises `ValueError` when the bytes are not one well-formed
    element.
    """
    root = Element("", "")
    stack = [root]
    parser = ParserCreate("utf-8", " ")
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        namespace, name = split_tag(tag)
        element = Element(name, namespace)
        element.attributes = {attribute_key(key): value for key, value in attributes.items()}
        stack[-1].content.append(element)
        stack.append(element)

    def end(_tag: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].content.append(data)

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    scope = f'<scope xmlns="{escape_attribute(default_namespace)}"' + "".join(
        f' xmlns:{prefix}="{escape_attribute(uri)}"' for prefix, uri in (prefixes or {}).items()
    )
    try:
        parser.Parse(scope.encode() + b">" + raw + b"</scope>", True)
    except ExpatError as error:
        raise ValueError(f"not well-formed XML: {error}") from None
    elements = root.children[0].children
    if len(elements) != 1:
        raise ValueError("not one element")
    return elements[0]
