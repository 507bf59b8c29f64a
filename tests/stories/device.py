"""A client as people have it: it remembers what it was sent, and checks that nothing of it is wrong."""

from __future__ import annotations

from tests.harness.world import World
from tests.stories.knowledge import Eras, Replica, Session, Submission, check_result, iq
from tests.stories.model import EPHEMERAL, Archive, Message, Model
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.result_set import PageRequest
from tidings.wire.xmpp.payloads.sync import SyncConversation, SyncEntry, SyncErased, SyncFin, SyncRequest

PERSISTED_WITHIN = 5.0
"""Seconds until the server has stored what was acknowledged."""
MOST_UNSURE = 5
CARBONS = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"
NEWS = {(ns.INBOX_CONVERSATION, "x"), (ns.PUBSUB_EVENT, "event"), (ns.INBOX, "result")}
"""What a client is told beside messages."""


class Device:
    """One device of an account."""

    def __init__(self, world: World, model: Model, way: Submission, eras: Eras) -> None:
        self.world = world
        self.way = way
        self.model = model
        self.eras = eras
        self.session: Session | None = None
        self.is_available = False
        self.got: set[int] = set()
        self.settled: dict[int, float] = {}
        """What can never come again, and since when."""
        self.heard: list[str] = []
        """What is stored nowhere."""
        self.errors: list[str] = []
        self.unsure: list[Message] = []
        """What it does not know to be accepted."""
        self.last_id: str | None = None
        """Up to here it has fetched its archive."""
        self.cursor: str | None = None
        self.replica: Replica = Replica()
        self._results: list[ArchiveResult] = []
        self._items: list[SyncEntry | SyncErased | SyncConversation] = []

    def __repr__(self) -> str:
        return f"{self.way.account}/{self.way.name}"

    @property
    def archive(self) -> Archive:
        return self.model.archives[self.way.account]

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as the client can tell."""
        return self.session is not None and self.session.counted is None

    @property
    def is_catching_up(self) -> bool:
        """Whether it still reads what it has missed, behind which waits what nobody keeps."""
        return self.session is not None and self.session.client.session.is_catching_up

    @property
    def has_session(self) -> bool:
        """Whether the server keeps a session for it."""
        session = self.session
        return session is not None and not session.is_forgotten and not session.client.session.ended

    # --- coming and going

    async def come(self) -> None:
        """Be connected and available, and fetch what it fetches by itself."""
        if not self.is_connected and not await self._resume():
            await self._bind()
        assert self.session is not None
        if not self.is_available:
            await self.send("<presence/>", before=True)
        unsure, self.unsure = self.unsure, []
        if unsure:
            await self.say(*unsure)
        await self.fetch()

    async def _bind(self) -> None:
        """Begin a new session; what the old one left unacknowledged is unsure."""
        self._give_up()
        self.is_available = False
        address = f"{self.way.account}/{self.way.name}"
        client = await self.world.login(address, device=self.way.user_agent)
        self.session = Session(client)
        if self.way.counts:
            await client.manage(can_resume=self.way.resumes)
        if self.way.pulls:
            await self.ask(CARBONS)

    def _give_up(self) -> None:
        if self.session is not None:
            left = [message for message in self.session.outbox[-MOST_UNSURE:] if message is not None]
            self.unsure += [message for message in left if message.has_origin and message not in self.unsure]
        self.session = None

    async def _resume(self) -> bool:
        session = self.session
        if session is None or not self.way.resumes:
            return False
        assert session.counted is not None
        found = await self.world.resume(session.client, handled=session.counted)
        if isinstance(found, Element):
            assert found.name == "failed"
            h = found.get("h")
            self._acknowledged(0 if h is None else int(h), is_exact=False)
            self.unsure += [message for message in session.outbox if message is not None]
            session.outbox = []
            return False
        session.client, session.counted = found, None
        [resumed] = found.take("resumed")
        self._acknowledged(int(resumed.get("h") or ""))
        again, session.outbox = session.outbox, []
        session.said -= len(again)
        self.look()
        messages = [message for message in again if message is not None]
        assert len(messages) == len(again)
        if messages:
            await self.say(*messages)
        return True

    def cut(self) -> None:
        """The connection is dead: nothing arrives any more, and the server has not noticed."""
        assert self.session is not None
        self.look()
        self.session.counted = self.session.client.counted

    async def lose(self) -> None:
        """The server notices that the connection is lost."""
        if self.session is not None:
            if self.session.counted is None:
                self.cut()
            if self.has_session:
                await self.session.client.lose()

    async def leave(self) -> None:
        """End the session in order, having answered all."""
        await self.answer_all()
        assert self.session is not None
        await self.session.client.leave()
        self.look()
        self._settle()
        self.session, self.is_available = None, False

    def crashed(self) -> None:
        """The server is gone, and with it what it knew of this session."""
        if self.session is not None and self.session.counted is None:
            self.cut()
        if self.session is not None:
            self.session.is_forgotten = True
        before = self.world.clock.monotonic() - PERSISTED_WITHIN
        self.settled = {position: since for position, since in self.settled.items() if since < before}
        self.is_available = False

    # --- speaking

    async def send(self, text: str, *, before: bool = False) -> None:
        """Send what is no message; `before` tells that it is available before the answer comes."""
        self.look()
        self._sent(None)
        self.is_available = self.is_available or before
        assert self.session is not None
        await self.session.client.send(text)
        self.look()

    async def ask(self, text: str) -> Element:
        self.look()
        self._sent(None)
        assert self.session is not None
        answer = await self.session.client.request(text)
        self.look()
        return answer

    def _sent(self, message: Message | None) -> None:
        session = self.session
        assert session is not None
        session.outbox.append(message)
        session.said += 1
        session.arrived += session.counted is None

    async def say(self, *messages: Message) -> None:
        """Send messages in one read; if the connection is dead, they are waiting then."""
        session = self.session
        assert session is not None
        for message in messages:
            self._sent(message)
            if session.counted is None and message.kind not in EPHEMERAL:
                self.model.accept(message, self._only_for(message))
        if session.counted is None:
            await session.client.send(*(message.xml() for message in messages))

    async def say_into_silence(self, *messages: Message) -> None:
        """Send messages that arrive; nothing that this causes comes back: the connection is dead."""
        session = self.session
        assert session is not None
        self.look()
        counted = session.client.counted
        await self.say(*messages)
        session.counted = counted

    def _only_for(self, message: Message) -> str:
        recipient, _, resource = message.to.partition("/")
        directory = self.world.server.hosts["localhost"].directory
        account = directory.get(recipient)  # type: ignore[arg-type]  # as a key, any text will do
        return resource if account is not None and resource in account.sessions else ""

    def _acknowledged(self, h: int, *, is_exact: bool = True) -> None:
        """The server says how much it has dealt with: all that has arrived, and never more."""
        session = self.session
        assert session is not None
        assert h == session.arrived if is_exact else h <= session.arrived, f"h={h} of {session.arrived}"
        first = session.said - len(session.outbox)
        gone, session.outbox = session.outbox[: max(h - first, 0)], session.outbox[max(h - first, 0) :]
        for message in gone:
            if message is not None and message.kind not in EPHEMERAL:
                assert self.model.is_stored(message), f"{message.id} was acknowledged"

    # --- answering

    async def answer(self) -> bool:
        """Answer what the server asks; tell whether it asked anything."""
        self.look()
        session = self.session
        assert session is not None
        client = session.client
        pings = [each for each in client.take("iq") if each.get("type") == "get"]
        for ping in pings:
            await self.send(f"<iq type='result' id='{ping.get('id')}' to='localhost'/>")
        asked = bool(client.take("r"))
        if self.way.counts and asked:
            await self.acknowledge()
        return bool(pings) or asked

    async def answer_all(self) -> None:
        assert self.session is not None
        counted = -1
        while await self.answer() or (self.way.counts and counted != self.session.client.counted):
            counted = self.session.client.counted
            if self.way.counts:
                await self.acknowledge()  # which lets a replay go on
        if self.way.counts:
            await self.ask_for_count()
            assert not self.session.outbox

    async def acknowledge(self) -> None:
        assert self.session is not None
        self.look()
        await self.session.client.send(f"<a xmlns='urn:xmpp:sm:3' h='{self.session.client.counted}'/>")
        self._settle()
        self.look()

    async def ask_for_count(self) -> None:
        assert self.session is not None
        await self.session.client.send("<r xmlns='urn:xmpp:sm:3'/>")
        answers = self.session.client.take("a")
        assert answers
        for answer in answers:
            self._acknowledged(int(answer.get("h") or ""))

    def _settle(self) -> None:
        """What it was sent in order, up to the last one, has been acknowledged."""
        session = self.session
        assert session is not None
        last = max((position for position in session.order if position not in session.early), default=0)
        now = self.world.clock.monotonic()
        for position in session.order:
            if position <= last:
                self.settled.setdefault(position, now)

    # --- what comes

    def look(self) -> None:
        """Take what has come, and check that nothing of it should not have."""
        if not self.is_connected:
            return
        assert self.session is not None
        for element in self.session.client.take("message"):
            self._take(element)

    def _take(self, element: Element) -> None:
        children = {(child.namespace, child.name): child for child in element.children}
        if element.get("type") == "error":
            self.errors.append(element.get("id") or "")
        elif (ns.MAM2, "result") in children:
            self._results.append(ArchiveResult.decode(children[ns.MAM2, "result"]))
        elif (ns.CARBONS, "sent") in children:
            self._take_copy(children[ns.CARBONS, "sent"])
        elif (ns.CARBONS, "received") in children:
            self._take_copy(children[ns.CARBONS, "received"])
        elif not self._take_item(children) and not children.keys() & NEWS:
            self._take_message(element)

    def _take_item(self, children: dict[tuple[str, str], Element]) -> bool:
        for kind in (SyncEntry, SyncErased, SyncConversation):
            if kind.TAG in children:
                self._items.append(kind.decode(children[kind.TAG]))
                return True
        return False

    def _take_message(self, element: Element) -> None:
        position = self._position_of(element)
        session = self.session
        assert session is not None
        if not position:
            self.heard.append(element.get("id") or "")
            return
        assert position not in session.order, f"{self} got {position} twice in one session"
        seen = self.got if self.way.pulls else self.settled
        assert position not in seen, f"{self} got {position} again"
        item = self.archive.items[position - 1]
        assert not item.is_sent, f"{self} got {position} as a message, not as a copy"
        if not self.is_available:
            session.early.add(position)
        elif not self.way.pulls:
            in_order = [each for each in session.order if each not in session.early]
            assert not in_order or position > in_order[-1], f"{self} got {position} after {in_order[-1]}"
        session.order.append(position)
        self.got.add(position)

    def _take_copy(self, copy: Element) -> None:
        forwarded = copy.find("forwarded", ns.FORWARD)
        assert forwarded is not None
        [message] = forwarded.find_all("message", ns.CLIENT)
        position = self._position_of(message)
        session = self.session
        assert session is not None
        if not position:
            return
        assert position not in session.copies, f"{self} got two copies of {position}"
        assert position not in session.order, f"{self} got {position} and a copy"
        assert self.archive.items[position - 1].is_sent == (copy.name == "sent")
        session.copies.add(position)
        self.got.add(position)

    def _position_of(self, message: Element) -> int:
        """Find out where a message stands, and check that it is that message; 0 for one that is not kept."""
        ids = list(message.find_all("stanza-id", ns.STANZA_ID))
        if not ids:
            return 0
        [stanza_id] = ids
        assert stanza_id.get("by") == self.way.account
        position = self.eras.position(self.archive, stanza_id.get("id") or "")
        said = self.archive.items[position - 1].message
        assert (message.get("id"), message.text_of("body", ns.CLIENT)) == (said.id, said.text)
        return position

    # --- fetching

    async def fetch(self) -> None:
        """Fetch what it has missed, if it does that by itself."""
        if self.way.pulls == "archive":
            await self._pull()
        elif self.way.pulls == "sync":
            await self._sync()

    async def _pull(self) -> None:
        is_complete = False
        while not is_complete:
            query = ArchiveQuery(page=PageRequest(maximum=3, after=self.last_id))
            self._results = []
            answer = await self.ask(iq(query.encode()))
            if answer.get("type") == "error":  # it was trimmed: from the beginning, then
                last = self.last_id
                assert last is not None
                assert int(last.rpartition("-")[2]) < self.archive.first
                self.last_id = None
                continue
            for result in self._results:
                position = self.eras.position(self.archive, result.id)
                check_result(self.archive, position, result)
                self.got.add(position)
                self.last_id = result.id
            is_complete = ArchiveFin.decode(answer.children[0]).is_complete

    async def _sync(self) -> None:
        is_complete = False
        while not is_complete:
            self._items = []
            request = SyncRequest(since=self.cursor, maximum=3)
            answer = await self.ask(iq(request.encode(), "get"))
            fin = SyncFin.decode(answer.children[0])
            if fin.is_reset or self.cursor is None:
                self.replica = Replica(since=len(self.archive.items))
            for item in self._items:
                self.replica.apply(item, self.archive, self.eras)
            self.got |= self.replica.entries.keys()
            self.cursor, is_complete = fin.cursor, fin.is_complete
