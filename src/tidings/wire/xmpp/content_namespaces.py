"""Content namespaces: what clients, servers and components say alike, each in a namespace of their streams.

A stanza means the same in `jabber:client`, `jabber:server` (RFC 6120 §4.8.3) and `jabber:component:accept`
(XEP-0114), and who passes it on writes it for the stream that it goes to. Inside of Tidings all stanzas are
written for `jabber:client`: `as_client` translates what comes on a stream of another namespace, and
`Stanza.to_bytes_for` what leaves on one.

What is translated depends on the tree alone, not on how it is spelled: the stanza, its children in the
stream's namespace (body, error), their children in it, and so on. An element of another namespace stays as it
is with all that it contains: a forwarded stanza keeps its namespace (XEP-0297 §3.2). What inherits the
namespace is translated by what stands around it, so that most content is taken over as the bytes it is.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xmpp import ns


def as_client(fragment: Fragment, content_namespace: str) -> Fragment:
    """Give what came on a stream of this content namespace as a client would have sent it.

    An element of another namespace than the stream's is given back as it is.
    """
    if content_namespace == ns.CLIENT or fragment.namespace != content_namespace:
        return fragment
    if not _inherits(fragment.content, content_namespace):
        root = _translate(fragment.to_element(), content_namespace, ns.CLIENT)
        return Fragment.written(f"{ns.CLIENT} {fragment.name}", fragment.attributes, root)
    prefix = f"{content_namespace} "
    skipped = len(prefix)
    return Fragment(
        ns.CLIENT,
        fragment.name,
        fragment.attributes,
        [
            (f"{ns.CLIENT} {tag[skipped:]}" if tag.startswith(prefix) else tag, offset)
            for tag, offset in fragment.index
        ],
        fragment.content,
    )


def content_for(content: bytes, content_namespace: str) -> bytes:
    """Give a stanza's content, written for `jabber:client`, as a stream of this content namespace has it."""
    if content_namespace == ns.CLIENT or _inherits(content, ns.CLIENT):
        return content
    root = decode(b"<root>%b</root>" % content, ns.CLIENT)
    return Fragment.written("root", {}, _translate(root, ns.CLIENT, content_namespace)).content


def _inherits(content: bytes, namespace: str) -> bool:
    """Tell whether all that stands in this namespace has it from the root, by no declaration of its own.

    A search decides, and says no where it cannot be sure: where a prefix is declared, below which an element
    may fall back to the root's namespace, or where a declaration's value holds a reference.
    """
    return _own_declaration(namespace).search(content) is None


@lru_cache
def _own_declaration(namespace: str) -> re.Pattern[bytes]:
    name = re.escape(namespace.encode())
    return re.compile(rb"""xmlns(?::|\s*=\s*(?:"(?:%b"|[^"&]*&)|'(?:%b'|[^'&]*&)))""" % (name, name))


def _translate(element: Element, old: str, new: str) -> Element:
    """Give the tree in its new namespace, down to the elements of any other, which are shared."""
    content = (
        _translate(item, old, new) if isinstance(item, Element) and item.namespace == old else item
        for item in element.content
    )
    return Element(element.name, new, element.attributes, *content)
