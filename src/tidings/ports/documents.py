"""The documents port: what features that bring no tables of their own keep, as octets under a name.

A document belongs to an entity: a bare JID, or a domain of this server. A feature keeps its documents in a
namespace of its own and names each by a key. Whoever changes one says which version it has read, so that of
two who change the same document at the same time one is told, and none is overwritten unseen.

Every method may raise `BackendError`. Namespaces and keys have 1 to 255 octets of UTF-8, values at most
65,536 octets; what is longer raises `DocumentRefused` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid

LONGEST_NAMESPACE: Final = 255
"""Octets of UTF-8."""
LONGEST_KEY: Final = 255
"""Octets of UTF-8."""
LONGEST_VALUE: Final = 65_536
"""Octets."""


class DocumentConflict(StanzaError):  # noqa: N818  # a fact about the store, said in its word
    """Somebody else has made, changed or deleted the document: `conflict`. Read it anew and try again."""

    def __init__(self, entity: Jid, namespace: str, key: str) -> None:
        super().__init__("conflict", f"the document {namespace!r} {key!r} of {entity} has changed meanwhile")
        self.entity = entity
        self.namespace = namespace
        self.key = key


class DocumentRefused(StanzaError):  # noqa: N818  # a decision of the store
    """The name or the value of a document is too long, or the name is empty: `policy-violation`."""

    def __init__(self, what: str, octets: int, longest: int) -> None:
        super().__init__("policy-violation", f"{what} of a document has {octets} octets; {longest} are kept")
        self.octets = octets
        self.longest = longest


class Document(msgspec.Struct, frozen=True):
    """One document as it is kept."""

    key: str
    value: bytes
    version: str
    """Another one after each change; a document that is deleted and made anew never has an old one again."""


class DocumentStore(Protocol):
    """Keeps documents of accounts, of other entities and of whole domains.

    The documents of an account go with it, in the same transaction, and a new account begins without any.
    What belongs to other entities and to domains goes by `clear`. The store does not know which entities
    there are: whoever puts a document asks that before.
    """

    async def get(self, entity: Jid, namespace: str, key: str) -> Document | None:
        """Give the document; None where there is none."""
        ...

    async def get_all(self, entity: Jid, namespace: str, keys: Collection[str]) -> dict[str, Document]:
        """Give those of some hundred documents of a namespace that there are, by key, in one query."""
        ...

    async def put(self, entity: Jid, namespace: str, key: str, value: bytes, *, expected: str | None) -> str:
        """Keep this value, durable on return, and give its version.

        `expected` is the version that this value takes the place of; None where there is none yet. Raises
        `DocumentConflict` where the document stands otherwise, and `DocumentRefused`.
        """
        ...

    async def make_all(self, entity: Jid, values: Mapping[tuple[str, str], bytes]) -> None:
        """Keep new documents by namespace and key, all in one transaction, durable on return.

        Raises `DocumentConflict` where one of them is there, and `DocumentRefused`; then none is kept.
        """
        ...

    async def delete(self, entity: Jid, namespace: str, key: str, *, expected: str) -> None:
        """Delete the document in this version; raises `DocumentConflict` where it stands otherwise."""
        ...

    async def list(
        self, entity: Jid, namespace: str, *, after: str = "", limit: int = 100
    ) -> tuple[Document, ...]:
        """Give at most `limit` documents of the namespace in the order of their keys' code points.

        `after` is the last key of the page before; it need not exist any more. An empty page is the end.
        """
        ...

    async def clear(self, entity: Jid) -> int:
        """Delete all documents of an entity, in every namespace; tell how many there were."""
        ...


def check_document(namespace: str, key: str, value: bytes = b"") -> None:
    """Raise `DocumentRefused` for what is too long, and for an empty namespace or key."""
    for what, octets, longest in (
        ("the namespace", len(namespace.encode()), LONGEST_NAMESPACE),
        ("the key", len(key.encode()), LONGEST_KEY),
    ):
        if not 0 < octets <= longest:
            raise DocumentRefused(what, octets, longest)
    if len(value) > LONGEST_VALUE:
        raise DocumentRefused("the value", len(value), LONGEST_VALUE)
