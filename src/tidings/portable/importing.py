"""Importing: accounts of another server become accounts here, with their history, inbox and devices.

No server runs meanwhile. What is here already is never changed: an account whose address is taken is passed
over. Who begins anew after a crash goes on where it stopped: an account whose import has begun is known by a
document of its domain, and its archive holds the first messages of its history, as many as it has entries.

- The history keeps its times; the ids in the archive are new ones.
- What an account with preferences has kept out of its archive stays out of it.
- Every message counts as read but those that no device had, which are sent to the first device that comes,
  and as many as the other server has counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Final, TypeVar

import msgspec

from tidings.base.clock import TimeSource
from tidings.base.jid import Jid
from tidings.kernel.former_names import FormerNames, NameRests
from tidings.messages.history import past_append
from tidings.portable.account import (
    Conversation,
    PastMessage,
    PortableAccount,
    PortableMembership,
    PortableNode,
    Source,
)
from tidings.portable.errors import PortableError
from tidings.ports.accounts import ScramKeys
from tidings.ports.groups import LONGEST_NAME, GroupExists, GroupFull, Member, SharedGroup
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Accepted,
    Append,
    CursorMove,
    Direction,
    Entry,
    InboxChange,
    LedgerBatch,
    ReadMove,
)
from tidings.ports.nodes import NodeLimits
from tidings.ports.stores import Stores
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault
from tidings.wire.xmpp.sasl.keys import HASHES, make_scram_keys
from tidings.wire.xmpp.sasl.prepare import PreparationError

NAMESPACE: Final = "urn:tidings:import:0"
"""Whose documents tell of imports."""

_TOGETHER: Final = 500
"""So many messages are committed at once."""
_TOLD: Final = 1_000
"""So many problems are told one by one."""
_AT_ONCE: Final = 100
"""So many items of a source are read ahead."""
_ALL: Final = ""
"""All clients that are no known device."""

_Item = TypeVar("_Item")

OnProgress = Callable[[int, int], object]
"""Told how many accounts and messages have come."""


class ImportRecord(msgspec.Struct, frozen=True):
    """What is kept of the import of one account, among the documents of its domain."""

    account: str
    source: str
    before: int
    """The last position of its archive before: messages of an earlier owner, which are gone."""
    is_whole: bool = False


class ImportReport(msgspec.Struct, kw_only=True):
    """What an import did, or would do."""

    accounts: int = 0
    """That were made."""
    finished: int = 0
    """That an earlier import had begun, and this one brought to an end."""
    present: int = 0
    """That were here already and are as they were."""
    messages: int = 0
    mechanisms: Counter[str] = msgspec.field(default_factory=Counter)
    """How many accounts that were made can log in by each mechanism of SCRAM."""
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    """What the source has and nobody here takes, with how many there are."""
    problems: list[str] = msgspec.field(default_factory=list)
    """What could not be imported and why, a sentence each."""

    def problem(self, text: str) -> None:
        """Note what is wrong; beyond a thousand they are counted only."""
        if len(self.problems) < _TOLD:
            self.problems.append(text)
        else:
            self.left_out["further problems"] += 1


class _Read:
    """How far each conversation is read: to its end, or to what the other server has counted as unread."""

    def __init__(self, conversations: Iterable[Conversation]) -> None:
        self._unread = {each.peer: each.unread for each in conversations}
        self._last: dict[Jid, deque[int]] = {}
        self._pointers: dict[Jid, int] = {}

    def saw(self, peer: Jid, position: int, entry: Entry, *, is_unread: bool) -> None:
        """Note an entry, and whether no device has had it."""
        unread = self._unread.get(peer, 0)
        if not unread:
            if not is_unread:
                self._pointers[peer] = position
        elif entry.countable and entry.direction is Direction.RECEIVED:
            last = self._last.setdefault(peer, deque(maxlen=unread + 1))
            last.append(position)
            if len(last) > unread:
                self._pointers[peer] = last[0]

    def pointers(self) -> Iterable[tuple[Jid, int]]:
        """Give the last position that is read of each conversation of which something is."""
        return self._pointers.items()


_ANY_NUMBER: Final = NodeLimits(nodes=1 << 31, items=1 << 31, octets=1 << 60)
"""What another server had is taken as it is; limits hold for what comes later."""


def _granted(_node: object, _standing: object) -> None:
    """Let everything be written."""


class Importer:
    """Writes what a source gives into the stores."""

    def __init__(
        self,
        stores: Stores,
        domains: Collection[str],
        clock: TimeSource,
        *,
        is_dry: bool = False,
        on_progress: OnProgress = lambda _accounts, _messages: None,
        names: FormerNames | None = None,
    ) -> None:
        """Begin. `domains` are those with accounts; without `is_dry` all is written.

        With `names`, no account gets a name that rests.
        """
        self._stores = stores
        self._domains = frozenset(domains)
        self._clock = clock
        self._is_dry = is_dry
        self._on_progress = on_progress
        self._names = names
        self.report = ImportReport()

    async def run(self, source: Source, name: str, domain: str = "") -> ImportReport:
        """Import everything, or one domain; `name` says what the source is, for who asks later."""
        async for account in _off_the_loop(source.accounts()):
            if domain and account.jid.domain != domain:
                continue
            if account.jid.domain not in self._domains:
                self.report.problem(f"{account.jid}: the domain {account.jid.domain} is not served here")
                continue
            for words in account.left_out:
                self.report.left_out[words] += 1
            await self._account(source, account, name)
            self._tell()
        return self.report

    def _tell(self) -> None:
        report = self.report
        self._on_progress(report.accounts + report.finished + report.present, report.messages)

    async def _account(self, source: Source, account: PortableAccount, name: str) -> None:
        jid = account.jid
        record = await self._record(jid)
        is_new = not await self._stores.accounts.exists(jid)
        if is_new and self._names is not None:
            try:
                await self._names.check(jid)
            except NameRests as error:
                self.report.problem(f"{error.told}; --reuse-names takes it anyway")
                return
        if is_new:
            record = ImportRecord(jid.text, name, await self._last_position(jid))
            self.report.accounts += 1
        elif record is None or record.is_whole:
            self.report.present += 1
            return
        else:
            self.report.finished += 1
        if self._is_dry:
            self.report.mechanisms.update([*HASHES] if account.password else _mechanisms(account.keys))
            async for _ in self._appends(source, account):
                self.report.messages += 1
            return
        await self._note(record)
        if is_new:
            keys = await asyncio.to_thread(self._keys, account)
            self.report.mechanisms.update(_mechanisms(keys))
            await self._stores.accounts.create(jid, keys, account.created or self._clock.now())
        await self._keep_small(account)
        if self._stores.ledger is not None:
            await self._history(self._stores.ledger, source, account, record.before)
        await self._note(msgspec.structs.replace(record, is_whole=True))

    async def _last_position(self, jid: Jid) -> int:
        ledger = self._stores.ledger
        return 0 if ledger is None else (await ledger.head(jid)).position

    async def _record(self, jid: Jid) -> ImportRecord | None:
        found = await self._stores.documents.get(jid.host, NAMESPACE, _key_of(jid))
        return None if found is None else msgspec.json.decode(found.value, type=ImportRecord)

    async def _note(self, record: ImportRecord) -> None:
        jid, documents = Jid(record.account), self._stores.documents
        found = await documents.get(jid.host, NAMESPACE, _key_of(jid))
        expected = None if found is None else found.version
        value = msgspec.json.encode(record)
        await documents.put(jid.host, NAMESPACE, _key_of(jid), value, expected=expected)

    async def _join(self, jid: Jid, membership: PortableMembership) -> None:
        """Put an account into a shared group, which is made where it is missing."""
        groups, name = self._stores.groups, membership.group
        if len(name.encode()) > LONGEST_NAME:
            self.report.problem(f"{jid}: the name of the shared group {name[:40]!r}… is too long")
            return
        with contextlib.suppress(GroupExists):
            await groups.create(jid.domain, SharedGroup(name=name, label=membership.label or name))
        try:
            await groups.add(jid.domain, name, [Member(jid, membership.called)])
        except GroupFull as error:
            self.report.problem(f"{jid}: {error}")

    def _keys(self, account: PortableAccount) -> tuple[ScramKeys, ...]:
        if account.password is None:
            if not account.keys:
                self.report.problem(f"{account.jid}: has no password, and cannot log in until one is set")
            return account.keys
        try:
            return make_scram_keys(account.password)
        except PreparationError as error:
            self.report.problem(f"{account.jid}: the password cannot be used: {error}")
            return account.keys

    async def _keep_small(self, account: PortableAccount) -> None:
        """Write all but the history; the same again changes nothing."""
        stores, jid = self._stores, account.jid
        for contact in account.contacts:
            await stores.roster.put(jid, contact)
        if account.vcard is not None:
            await stores.vcards.put(jid, account.vcard)
        for fragment in account.private:
            await stores.private.put(jid, fragment.namespace, fragment.name, fragment.raw)
        if account.blocked:
            await stores.blocking.add(jid, account.blocked)
        if account.preferences is not None:
            await stores.preferences.put(jid, account.preferences)
        for membership in account.groups:
            await self._join(jid, membership)
        for node in account.nodes:
            await self._keep_node(jid, node)
        if account.ban is not None:
            await stores.accounts.ban(jid, account.ban)
        if account.last_activity is not None:
            await stores.accounts.touch_last(jid, account.last_activity, account.last_status)

    async def _keep_node(self, owner: Jid, node: PortableNode) -> None:
        """Make a node with all that belongs to it, as the other server had it."""
        store = self._stores.nodes
        if await store.get(owner, node.name) is None:
            now = self._clock.now()
            await store.create(owner, node.name, node.config, now, by=owner, limits=_ANY_NUMBER)
        for item in node.items:
            await store.publish(owner, node.name, item, make=None, check=_granted, limits=_ANY_NUMBER)
        affiliations = dict(node.affiliations)
        affiliations.pop(owner, None)
        if affiliations:
            await store.affiliate(
                owner, node.name, affiliations, by=owner, check=_granted, most=_ANY_NUMBER.items
            )
        for each in node.subscriptions:
            await store.subscribe(owner, node.name, each, by=each.jid, check=_granted, most=_ANY_NUMBER.items)

    # --- history

    async def _history(self, ledger: Ledger, source: Source, account: PortableAccount, before: int) -> None:
        """Write the archive, and say what of it is read and what no device has had."""
        jid = account.jid
        done = (await ledger.head(jid)).position
        position, first_unread = before, 0
        read = _Read(account.conversations)
        group: list[Append] = []
        async for append, peer, is_unread in self._appends(source, account):
            position += 1
            if is_unread:
                first_unread = first_unread or position
            read.saw(peer, position, append.entries[0], is_unread=is_unread)
            if position > done:
                group.append(append)
            if len(group) == _TOGETHER:
                await self._commit(ledger, jid, group)
                group = []
        await self._commit(ledger, jid, group)
        had = first_unread - 1 if first_unread else position
        moves = tuple(ReadMove(owner=jid, peer=peer, upto=upto) for peer, upto in read.pointers())
        cursor = CursorMove(archive=jid, device=_ALL, position=had)
        changes = tuple(
            InboxChange(owner=jid, peer=each.peer, box=each.box, muted_until=each.muted_until)
            for each in account.conversations
        )
        await ledger.commit(LedgerBatch(reads=moves, changes=changes, cursors=(cursor,)))

    async def _commit(self, ledger: Ledger, jid: Jid, group: list[Append]) -> None:
        if not group:
            return
        committed = await ledger.commit(LedgerBatch(appends=tuple(group)))
        refused = [outcome for outcome in committed.outcomes if not isinstance(outcome, Accepted)]
        if refused:  # the rest of its history would stand at other places than a second try expects
            raise PortableError(f"{jid}: the database takes a message not at all: {refused[0]}")
        self.report.messages += len(group)
        self._tell()

    async def _appends(
        self, source: Source, account: PortableAccount
    ) -> AsyncIterator[tuple[Append, Jid, bool]]:
        """Give every message that is kept, with its conversation and whether no device has had it."""
        jid = account.jid
        preferences = account.preferences
        has_chosen = preferences is not None and preferences.default is not ArchiveDefault.ALWAYS
        async for past, is_unread, is_archived in _off_the_loop(
            _merged(source.history(jid), account.undelivered)
        ):
            append = past_append(
                jid,
                past.message,
                past.time,
                is_sent=past.is_sent,
                is_undelivered=is_unread,
                is_for_devices=has_chosen and not is_archived,
            )
            if append is None:
                self.report.left_out["messages that archives do not keep"] += 1
                continue
            yield append, Jid(append.entries[0].peer), is_unread


def _merged(
    history: Iterator[PastMessage], undelivered: Iterable[PastMessage]
) -> Iterator[tuple[PastMessage, bool, bool]]:
    """Give the archive, then what it lacks of what was not delivered yet.

    The flags say whether no device has had the message, and whether it is in the archive.
    """
    waiting = {_same(past): past for past in undelivered}
    for past in history:
        yield past, waiting.pop(_same(past), None) is not None, True
    for past in sorted(waiting.values(), key=lambda past: past.time):
        yield past, True, False


def _same(past: PastMessage) -> tuple[object, ...]:
    """Say what two copies of one message have in common, whatever storing has added to either."""
    message = past.message
    texts = tuple(child.raw for child in message.children if child.name == "body")
    return message.sender, message.kind, message.id, texts


def _mechanisms(keys: Iterable[ScramKeys]) -> Iterator[str]:
    return (each.mechanism for each in keys)


def _key_of(jid: Jid) -> str:
    """Give the key of an account among the documents of its domain; a name may be longer than a key."""
    return blake2b((jid.local or "").encode(), digest_size=16).hexdigest()


async def _off_the_loop(items: Iterator[_Item]) -> AsyncIterator[_Item]:
    """Read on a thread, some at a time: files and databases are waited for."""
    while group := await asyncio.to_thread(lambda: list(islice(items, _AT_ONCE))):
        for item in group:
            yield item
