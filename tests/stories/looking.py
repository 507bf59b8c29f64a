"""An observer sees what an account's archive, inbox and read positions are said to be, and compares."""

from __future__ import annotations

import msgspec

from tests.features.inboxes import conversation, inbox
from tests.harness.world import World, WorldClient
from tests.stories.knowledge import Eras, check_result, iq
from tests.stories.model import Archive
from tidings.base.jid import Jid
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo
from tidings.wire.xmpp.payloads.pubsub import PubSubRequest
from tidings.wire.xmpp.payloads.result_set import PageRequest

PROPERTIES = {
    "read": "<read>true</read>",
    "unread": "<read>false</read>",
    "archive": "<box>archive</box>",
    "inbox": "<box>inbox</box>",
}


class Observer:
    """A client of an account that is never available and only asks."""

    def __init__(self, world: World, archive: Archive, eras: Eras) -> None:
        self.world = world
        self.archive = archive
        self.eras = eras
        self._client: WorldClient | None = None

    def forget(self) -> None:
        """The server is gone."""
        self._client = None

    async def client(self) -> WorldClient:
        if self._client is None:
            self._client = await self.world.login(f"{self.archive.owner}/observer")
        self._client.take()
        return self._client

    # --- changing

    async def change(self, peer: str, what: str) -> None:
        """Change how a conversation stands in the inbox."""
        answer = await (await self.client()).request(conversation(PROPERTIES[what], peer))
        row = self.archive.inbox.get(peer)
        assert (answer.get("type") == "error") == (row is None), answer
        if row is None:
            return
        match what:
            case "read":
                self.archive.read_all(peer)
            case "unread":
                row.is_marked = True
            case box:
                row.box = box

    async def publish(self, peer: str, index: int) -> None:
        """Publish up to which message a conversation has been displayed."""
        items = [item for item in self.archive.kept if item.peer == peer]
        if peer not in self.archive.inbox or not items:
            return
        item = items[-1 - index % len(items)]
        name = self.eras.names.get((self.archive.owner, item.era))
        if name is None:
            return
        stanza_id = (
            f"<stanza-id xmlns='{ns.STANZA_ID}' by='{self.archive.owner}' id='{name}-{item.position}'/>"
        )
        payload = f"<displayed xmlns='{ns.DISPLAYED_SYNC}'>{stanza_id}</displayed>"
        action = f"<publish node='{ns.DISPLAYED_SYNC}'><item id='{peer}'>{payload}</item></publish>"
        answer = await (await self.client()).request(
            f"<iq type='set' id='p'><pubsub xmlns='{ns.PUBSUB}'>{action}</pubsub></iq>"
        )
        assert answer.get("type") == "result", answer
        self.archive.read(peer, item.position)

    # --- comparing

    async def compare(self) -> None:
        await self._compare_archive()
        await self._compare_inbox()
        await self._compare_read_positions()

    async def _compare_archive(self) -> None:
        shown = [item.position for item in self.archive.shown]
        assert await self._read(PageRequest(maximum=4)) == shown
        assert await self._read(PageRequest(maximum=4, before="")) == shown
        for peer in {item.peer for item in self.archive.items}:
            positions = [item.position for item in self.archive.shown if item.peer == peer]
            assert await self._read(PageRequest(maximum=50), peer) == positions

    async def _read(self, page: PageRequest, peer: str | None = None) -> list[int]:
        """Page through the archive, forwards or backwards."""
        found: list[int] = []
        client = await self.client()
        while True:
            query = ArchiveQuery(page=page, peer=None if peer is None else Jid(peer))
            answer = await client.request(iq(query.encode()))
            assert answer.get("type") == "result", answer
            fin = ArchiveFin.decode(answer.children[0])
            positions = [
                self._check(ArchiveResult.decode(each.children[0])) for each in client.take("message")
            ]
            found = positions + found if page.is_backward else found + positions
            expected = self.archive.shown
            assert fin.page.count == sum(peer in {None, item.peer} for item in expected)
            if fin.is_complete:
                return found
            if page.is_backward:
                page = PageRequest(maximum=page.maximum, before=fin.page.first)
            else:
                page = PageRequest(maximum=page.maximum, after=fin.page.last)

    def _check(self, result: ArchiveResult) -> int:
        position = self.eras.position(self.archive, result.id)
        check_result(self.archive, position, result)
        return position

    async def _compare_inbox(self) -> None:
        archive = self.archive
        results, fin = await inbox(await self.client())
        told = {}
        for peer, result in results:
            stanza = result.forwarded.stanza()
            assert stanza is not None
            body = stanza.decode(ns.CLIENT, "body")
            told[peer] = result.unread, result.box, None if body is None else body.text
        expected = {
            peer: (archive.unread(peer), row.box, archive.last_text(peer))
            for peer, row in archive.inbox.items()
        }
        assert told == expected
        unread = [unread for unread, _, _ in expected.values()]
        assert (fin.count, fin.unread_messages) == (len(unread), sum(unread))
        assert fin.totals is not None
        assert msgspec.structs.astuple(fin.totals) == (sum(unread), sum(map(bool, unread)))

    async def _compare_read_positions(self) -> None:
        request = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{ns.DISPLAYED_SYNC}'/></pubsub>"
        answer = await (await self.client()).request(f"<iq type='get' id='d'>{request}</iq>")
        told = {}
        for item in PubSubRequest.decode(answer.children[0]).items:
            assert item.payload is not None
            stanza_id = DisplayedUpTo.decode(item.payload).stanza_id
            told[item.id] = self.eras.position(self.archive, stanza_id.id)
        rows = self.archive.inbox.items()
        assert told == {peer: row.read for peer, row in rows if row.read}
