"""Documents in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tidings.adapters.memory.state import Documents
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.ports.documents import Document, DocumentConflict, check_document


class MemoryDocuments:
    """The documents port over a dict."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def get(self, entity: Jid, namespace: str, key: str) -> Document | None:
        """Give the document, or None."""
        return self._documents.get(entity, {}).get((namespace, key))

    async def get_all(self, entity: Jid, namespace: str, keys: Collection[str]) -> dict[str, Document]:
        """Give those that there are."""
        found = self._documents.get(entity, {})
        return {key: found[namespace, key] for key in keys if (namespace, key) in found}

    async def put(self, entity: Jid, namespace: str, key: str, value: bytes, *, expected: str | None) -> str:
        """Keep this value in place of the expected version."""
        check_document(namespace, key, value)
        self._check_version(entity, namespace, key, expected)
        document = Document(key, value, token())
        self._documents.setdefault(entity, {})[namespace, key] = document
        return document.version

    async def make_all(self, entity: Jid, values: Mapping[tuple[str, str], bytes]) -> None:
        """Keep new documents, or none of them."""
        for (namespace, key), value in values.items():
            check_document(namespace, key, value)
            self._check_version(entity, namespace, key, None)
        made = {(where, key): Document(key, value, token()) for (where, key), value in values.items()}
        if made:
            self._documents.setdefault(entity, {}).update(made)

    async def delete(self, entity: Jid, namespace: str, key: str, *, expected: str) -> None:
        """Delete the document in this version."""
        self._check_version(entity, namespace, key, expected)
        del self._documents[entity][namespace, key]

    async def list(
        self, entity: Jid, namespace: str, *, after: str = "", limit: int = 100
    ) -> tuple[Document, ...]:
        """Give a page of the namespace."""
        found = (
            document
            for (where, key), document in self._documents.get(entity, {}).items()
            if where == namespace and key > after
        )
        return tuple(sorted(found, key=lambda document: document.key)[:limit])

    async def clear(self, entity: Jid) -> int:
        """Delete all documents of an entity."""
        return len(self._documents.pop(entity, {}))

    def _check_version(self, entity: Jid, namespace: str, key: str, expected: str | None) -> None:
        found = self._documents.get(entity, {}).get((namespace, key))
        if (None if found is None else found.version) != expected:
            raise DocumentConflict(entity, namespace, key)
