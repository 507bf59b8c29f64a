"""Files in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec.structs import replace

from tidings.adapters.memory.state import Accounts, existing
from tidings.base.jid import Jid
from tidings.ports.files import FileRecord, FileState, Mention, Quota, QuotaExceeded, Usage


class MemoryFiles:
    """The files port over dicts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._files: dict[str, FileRecord] = {}
        self._mentions: dict[tuple[Jid, int], set[str]] = {}
        self._sent: set[str] = set()
        """Those that their owners have sent."""

    async def announce(self, record: FileRecord, *, own: Quota, domain: Quota) -> None:
        """Keep a file whose octets may come."""
        if record.owner.local:
            existing(self._accounts, record.owner)
        for holder, quota in ((record.owner, own), (record.owner.host, domain)):
            if not quota.has_room(self._usage(holder), record.size):
                ends = [each.expires for each in self._of(holder)]
                raise QuotaExceeded(holder, min(ends, default=None))
        self._files[record.id] = record

    async def get(self, id_: str) -> FileRecord | None:
        """Give a file that is not gone."""
        found = self._there(id_)
        return None if found is None else self._counted(found)

    async def postpone(self, id_: str, expires: float) -> bool:
        """Wait longer for the octets."""
        found = self._announced(id_)
        if found is not None:
            self._files[id_] = replace(found, expires=expires)
        return found is not None

    async def complete(self, id_: str, *, sha256: bytes, expires: float) -> bool:
        """Note that all octets are there."""
        found = self._announced(id_)
        if found is not None:
            self._files[id_] = replace(found, state=FileState.COMPLETE, sha256=sha256, expires=expires)
        return found is not None

    async def discard(self, ids: Collection[str]) -> int:
        """Let nobody find them any more."""
        return self._discard(set(ids))

    async def discard_all(self, owner: Jid) -> int:
        """Let nobody find any file of an owner."""
        return self.leave(owner)

    def leave(self, owner: Jid) -> int:
        """Do so at once; tell how many there were."""
        for place in [place for place in self._mentions if place[0] == owner]:
            del self._mentions[place]
        return self._discard({each.id for each in self._of(owner) if each.owner == owner})

    async def due(self, now: float, *, limit: int = 100) -> tuple[FileRecord, ...]:
        """Give what is gone or has expired."""
        found = [each for each in self._files.values() if each.expires <= now]
        found.sort(key=lambda each: (each.expires, each.id))
        return tuple(map(self._counted, found[:limit]))

    async def forget(self, ids: Collection[str]) -> None:
        """Forget files."""
        for id_ in ids:
            self._files.pop(id_, None)
            self._sent.discard(id_)
        for named in self._mentions.values():
            named.difference_update(ids)

    async def list(self, owner: Jid, *, after: str = "", limit: int = 100) -> tuple[FileRecord, ...]:
        """Give a page of an owner's files."""
        found = sorted(
            (each for each in self._of(owner) if each.owner == owner and each.id > after),
            key=lambda each: each.id,
        )
        return tuple(map(self._counted, found[:limit]))

    async def usage(self, holder: Jid) -> Usage:
        """Tell what somebody has."""
        return self._usage(holder)

    async def mention(self, mentions: Collection[Mention]) -> None:
        """Note that entries name files."""
        for each in mentions:
            found = self._there(each.file)
            if found is not None:
                self._mentions.setdefault((each.archive, each.position), set()).add(each.file)
                if found.owner == each.sender:
                    self._sent.add(each.file)

    async def withdraw(self, places: Collection[tuple[Jid, int]]) -> int:
        """Note that entries name nothing any more."""
        named = {file for place in places for file in self._mentions.pop(place, ())}
        return self._discard({each for each in named & self._sent if not self._count(each)})

    def rename(self, account: Jid, to: Jid) -> None:
        """Let all of an account be that of its new address, who begins with nothing."""
        self.leave(to)
        for each in list(self._files.values()):
            if each.owner == account:
                self._files[each.id] = replace(each, owner=to)
        for archive, position in [place for place in self._mentions if place[0] == account]:
            self._mentions[to, position] = self._mentions.pop((archive, position))

    def _discard(self, ids: set[str]) -> int:
        found = [each for each in map(self._there, ids) if each is not None]
        for each in found:
            self._files[each.id] = replace(each, state=FileState.GONE, expires=0.0)
        return len(found)

    def _there(self, id_: str) -> FileRecord | None:
        found = self._files.get(id_)
        return None if found is None or found.state is FileState.GONE else found

    def _announced(self, id_: str) -> FileRecord | None:
        found = self._files.get(id_)
        return found if found is not None and found.state is FileState.ANNOUNCED else None

    def _of(self, holder: Jid) -> Iterator[FileRecord]:
        for each in self._files.values():
            if each.state is not FileState.GONE and holder in {each.owner, each.owner.host}:
                yield each

    def _usage(self, holder: Jid) -> Usage:
        found = list(self._of(holder))
        return Usage(len(found), sum(each.size for each in found))

    def _count(self, id_: str) -> int:
        return sum(id_ in named for named in self._mentions.values())

    def _counted(self, record: FileRecord) -> FileRecord:
        return replace(record, references=self._count(record.id))
