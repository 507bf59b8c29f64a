"""Reports: what people say of those whom they block, kept for the people who run the server.

A report is a document of the domain whose account has made it. Its id begins with its time, so that a list
is in the order in which they came.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.link_tokens import random_text, unless_changed
from tidings.ports.documents import Document, DocumentStore

_REPORTS: Final = "reports"
_DIGITS: Final = 17  # of a time in microseconds, until the year 5138
_RANDOM: Final = 8


class KeptMessage(msgspec.Struct, frozen=True):
    """A message that a report is about: its id in the archive of `by`."""

    by: str
    id: str


class KeptReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it is kept."""

    id: str
    time: int
    """When it was made, in microseconds."""
    by: str
    """The account that has made it."""
    about: str
    """The address that it is about, which that account has blocked."""
    reason: str
    text: str = ""
    messages: tuple[KeptMessage, ...] = ()
    may_go_to_origin: bool = False
    may_go_to_others: bool = False


class Reports:
    """The reports of all domains."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    async def keep(self, domain: Jid, report: KeptReport) -> None:
        """Keep a new report, durable on return."""
        value = msgspec.json.encode(report)
        await self._documents.put(domain, _REPORTS, report.id, value, expected=None)

    async def list(self, domain: Jid, *, after: str = "", limit: int = 100) -> list[KeptReport]:
        """Give at most that many reports behind this id, the oldest first; fewer are the last ones."""
        found = await self._documents.list(domain, _REPORTS, after=after, limit=limit)
        return [_decoded(document) for document in found]

    async def remove(self, domain: Jid, id_: str) -> bool:
        """Remove a report; tell whether there was one."""
        document = await self._documents.get(domain, _REPORTS, id_)
        if document is None:
            return False
        return await unless_changed(self._documents.delete(domain, _REPORTS, id_, expected=document.version))

    async def forget(self, domain: Jid, before: int, *, limit: int) -> int:
        """Remove at most that many of the reports that were made before a time; tell how many there were."""
        count = 0
        for document in await self._documents.list(domain, _REPORTS, limit=limit):
            if document.key >= _key(before):
                break
            await unless_changed(
                self._documents.delete(domain, _REPORTS, document.key, expected=document.version)
            )
            count += 1
        return count


def new_id(time: int) -> str:
    """Give the id of a report that is made at this time, in microseconds."""
    return f"{_key(time)}-{random_text(_RANDOM)}"


def _key(time: int) -> str:
    return f"{time:0{_DIGITS}}"


def _decoded(document: Document) -> KeptReport:
    return msgspec.json.decode(document.value, type=KeptReport)
