"""The counter: how many messages of an account were filtered, kept by the server as a document."""

from tidings.api import DocumentConflict, DocumentStore, Jid

NAMESPACE = "urn:example:word-filter"
"""The namespace of this extension, in documents and on the wire."""
KEY = "filtered"


class Counter:
    """Counts for each account, in the database of the server."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    async def of(self, account: Jid) -> int:
        """Give the number for an account."""
        document = await self._documents.get(account, NAMESPACE, KEY)
        return 0 if document is None else int(document.value)

    async def increase(self, account: Jid) -> None:
        """Add one to it.

        Two messages of an account may be counted at the same time: whoever finds that the document has
        changed since it was read begins anew, so that both are counted.
        """
        while True:
            document = await self._documents.get(account, NAMESPACE, KEY)
            count, version = (0, None) if document is None else (int(document.value), document.version)
            value = str(count + 1).encode()
            try:
                await self._documents.put(account, NAMESPACE, KEY, value, expected=version)
            except DocumentConflict:
                continue
            return
