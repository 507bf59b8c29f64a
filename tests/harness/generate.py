"""Hypothesis strategies for what peers may write: texts, trees, XML in unusual clothes, and cuts."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from tidings.wire.xml.element import Element

STREAMS = "http://etherx.jabber.org/streams"
NAMESPACES = ("jabber:client", "urn:x", "urn:y?a=1&b='2'", STREAMS)
PREFIXES = ("a", "b", "message", "stream", "ü")

characters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
"""Characters that XML 1.0 §2.2 can carry, without the white space that a reader normalises."""

texts = st.text(characters | st.sampled_from("<>&'\"]:; \t\n\r"), max_size=12)
names = st.sampled_from(["body", "x", "message", "stream", "a", "höhe", "x-1.y", "_"])
namespaces = st.sampled_from(("", *NAMESPACES))
attribute_keys = st.sampled_from(
    ["id", "to", "xml:lang", "{urn:x}id", "{urn:y}to", "{http://www.w3.org/XML/1998/namespace}space"]
)


def elements(namespace: st.SearchStrategy[str] = namespaces) -> st.SearchStrategy[Element]:
    """Return trees as our own code builds them."""
    leaves = st.builds(Element, names, namespace, st.dictionaries(attribute_keys, texts, max_size=3))
    return st.recursive(
        leaves,
        lambda below: st.builds(
            lambda name, space, attributes, content: Element(name, space, attributes, *content),
            names,
            namespace,
            st.dictionaries(attribute_keys, texts, max_size=3),
            st.lists(below | texts, max_size=4),
        ),
        max_leaves=8,
    )


def cuts(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Return the octets in random pieces."""
    places = st.lists(st.integers(0, len(data)), max_size=8, unique=True).map(sorted)
    return places.map(
        lambda ends: [
            data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True) if start < end
        ]
    )


@dataclass
class Source:
    """A stream's opening tag with one element to stand in it, as a peer may write them."""

    header: str
    element: str
    prefixes: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        """The octets, up to the end of the element."""
        return (self.header + self.element).encode()


_gaps = st.sampled_from([" ", "\n", "\t ", "\r\n"])
_loose = st.sampled_from(["", "", "", " ", "\n"])


@st.composite
def _written_text(draw: st.DrawFn) -> str:
    """Write a text escaped, as a CDATA section, or by numbers."""
    text = draw(texts).replace("\r", "")
    match draw(st.integers(0, 3)):
        case 0 if "]]>" not in text:
            return f"<![CDATA[{text}]]>"
        case 1:
            return "".join(f"&#{ord(character)};" for character in text)
        case 2:
            return "".join(f"&#x{ord(character):05X};" for character in text)
        case _:
            return text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")


@st.composite
def _written_attribute(draw: st.DrawFn, name: str, value: str | None = None) -> str:
    """Write an attribute in quotes of either kind, with whatever white space is allowed."""
    if value is None:
        value = draw(texts)
    quote = draw(st.sampled_from("'\""))
    written = value.replace("&", "&amp;").replace("<", "&lt;")
    written = written.replace(quote, "&apos;" if quote == "'" else "&quot;")
    return f"{draw(_gaps)}{name}{draw(_loose)}={draw(_loose)}{quote}{written}{quote}"


@st.composite
def _written_element(
    draw: st.DrawFn, scope: dict[str, str], depth: int, tag: tuple[str, str] | None = None
) -> str:
    """Write an element where these prefixes are in scope; `tag` fixes its namespace and name."""
    declared = draw(
        st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(NAMESPACES), max_size=2)
        if draw(st.booleans())
        else st.just({})
    )
    if draw(st.integers(0, 3)) == 0:
        declared[""] = draw(namespaces)
    if tag is not None and tag[0] not in {**scope, **declared}.values():
        declared[draw(st.sampled_from(["", "a"]))] = tag[0]
    scope = {**scope, **declared}
    if tag is None:
        name = draw(names)
        prefix = draw(st.sampled_from(sorted(scope)))
    else:
        name = tag[1]
        prefix = draw(st.sampled_from(sorted(key for key, uri in scope.items() if uri == tag[0])))
    qualified = f"{prefix}:{name}" if prefix else name
    parts = [
        draw(_written_attribute(f"xmlns:{key}" if key else "xmlns", uri)) for key, uri in declared.items()
    ]
    used: set[tuple[str, str]] = set()
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(["", "", "xml", *(key for key in sorted(scope) if key)]))
        local = draw(st.sampled_from(["lang", "space"] if key == "xml" else ["id", "kind", "data-x"]))
        space = "xml" if key == "xml" else scope.get(key, "") if key else ""
        if (space, local) in used:
            continue
        used.add((space, local))
        value = (
            None if key != "xml" else "preserve" if local == "space" else draw(st.sampled_from(["", "de"]))
        )
        parts.append(draw(_written_attribute(f"{key}:{local}" if key else local, value)))
    parts = draw(st.permutations(parts))
    length = draw(st.integers(0, 3)) if depth else 0
    content = [draw(_written_text() | _written_element(scope, depth - 1)) for _ in range(length)]
    opening = f"<{qualified}{''.join(parts)}{draw(_loose)}"
    if not content and draw(st.booleans()):
        return opening + "/>"
    return f"{opening}>{''.join(content)}</{qualified}{draw(_loose)}>"


@st.composite
def sources(draw: st.DrawFn, name: str = "message") -> Source:
    """Return a stream's opening and a stanza of `jabber:client` in it, with prefixes declared anywhere."""
    prefixes = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(NAMESPACES), max_size=3))
    prefixes["s"] = STREAMS
    prefixes[""] = draw(st.sampled_from(["jabber:client", "jabber:client", "urn:x"]))
    parts = [
        draw(_written_attribute(f"xmlns:{key}" if key else "xmlns", uri)) for key, uri in prefixes.items()
    ]
    header = f"<s:stream{''.join(draw(st.permutations(parts)))}>"
    return Source(header, draw(_written_element(prefixes, 3, ("jabber:client", name))), prefixes)
