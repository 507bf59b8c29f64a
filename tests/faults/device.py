"""Devices as applications have them: they reconnect, resume (XEP-0198), catch up and send again.

Each kind of device has its own way to lose nothing. What a device has received is kept by archive id, in the
order of first arrival.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
from collections import deque

from lxml import etree

from tests.faults.book import Book, Fate, Sent
from tests.faults.rooms import MAM, RSM, STANZA_ID, Visits, address_of, room_at
from tests.faults.stream import CLIENT, Stream, StreamBrokenError, own_bare

SM = "urn:xmpp:sm:3"
DISPLAYED = "{urn:xmpp:chat-markers:0}displayed"
PAUSE = 0.03  # seconds before a device tries again
PATIENCE = 20.0  # seconds that a step of the log-in may take


class Kind(enum.Enum):
    """How a device makes sure that nothing is lost or doubled."""

    RESUMES = "resumes, and marks its messages with origin-ids"
    COUNTS = "resumes, and trusts the number in <failed/> alone"
    PULLS = "asks the archive for what it missed; acknowledges, but does not resume; origin-ids"
    PLAIN = "knows nothing of this, and sends nothing"


class Device:
    """One device of an account."""

    def __init__(self, name: str, resource: str, kind: Kind, book: Book, chance: random.Random) -> None:
        self.name = name
        self.resource = resource
        self.kind = kind
        self.port = 0
        """Where its server is; 0 as long as there is none."""
        self.bare = own_bare(name)
        self.arrived: dict[str, str] = {}
        """Message ids by archive id, in the order of first arrival."""
        self.repeats = 0
        self.resumptions = 0
        self.logins = 0
        self.unread: deque[tuple[str, str]] = deque(maxlen=30)
        """(peer, id) of messages that arrived lately, for markers; in rooms the id is that of the archive."""
        self.story: deque[str] = deque(maxlen=12)
        """What happened to its sessions lately, for the text of a failure."""
        self.rooms = Visits(
            name,
            syncs=kind is Kind.PULLS,
            send=self._answer,
            complain=lambda text: book.complain(f"{name}/{resource}: {text}"),
            seen=self._saw_in_room,
        )
        self._is_open = False
        self._book = book
        self._chance = chance
        self._ended = False
        self._stream: Stream | None = None
        self._resumption = ""
        self._in = self._out = 0
        self._unacknowledged: deque[Sent | str] = deque()
        """Messages, and the text of everything else."""
        self._again: deque[Sent] = deque()
        self._made = 0
        self._pulled = ""
        self._noted = 0
        self._held: list[etree._Element] | None = None

    # -- what the load does with it

    @property
    def is_ready(self) -> bool:
        """Tell whether it is logged in, and has all that it missed."""
        return self._is_open and self._held is None and self.rooms.is_settled

    @property
    def is_settled(self) -> bool:
        """Tell whether everything that it sent is acknowledged."""
        return self.is_ready and not self._again and not self._has_unacknowledged

    @property
    def _has_unacknowledged(self) -> bool:
        return any(isinstance(each, Sent) for each in self._unacknowledged)

    @property
    def under_way(self) -> int:
        """How many messages have no answer yet."""
        return len(self._unacknowledged) + len(self._again)

    def say(self, peer: str, target: str = "") -> None:
        """Send a new message, or a marker for a message of the peer."""
        self._made += 1
        id_ = f"{self.name}/{self.resource}/{self._made}"
        message = Sent(id_, self.bare, self.resource, peer, self._made, target)
        self._book.sent[id_] = message
        self._send_message(message)

    def ask(self) -> None:
        """Ask the server for an acknowledgement while one is missing."""
        if self.is_ready and self._stream is not None and self._has_unacknowledged:
            self._stream.send(f"<r xmlns='{SM}'/>")

    def send_refused_again(self) -> None:
        """Send the messages again that were refused."""
        while self._again and self._stream is not None and self.is_ready:
            self._send_message(self._again.popleft())

    async def leave_in_order(self) -> None:
        """End the stream as RFC 6120 §4.4 says, which acknowledges what arrived; it will be back."""
        if self._stream is not None:
            self._is_open = False
            self._resumption = ""
            self._stream.send("</stream:stream>")
            await self._stream.drained()

    def drop(self) -> None:
        """Lose the connection."""
        if self._stream is not None:
            self._stream.abort()

    def end(self) -> None:
        """Come back no more."""
        self._ended = True
        self.drop()

    # -- its life

    async def run(self) -> None:
        """Be connected, again and again."""
        while not self._ended:
            try:
                await self._connect()
            except (OSError, StreamBrokenError, TimeoutError) as reason:
                if not self.story or self.story[-1] != str(reason):
                    self.story.append(str(reason))
            finally:
                self._is_open = False
                if self._stream is not None:
                    self._stream.abort()
                    self._stream = None
            await asyncio.sleep(PAUSE)

    async def _connect(self) -> None:
        if not self.port:
            return
        async with asyncio.timeout(PATIENCE):
            self._stream = await Stream.log_in(self.port, self.name)
            self.logins += 1
            if self._resumption and await self._resume(self._stream):
                self.resumptions += 1
                self.rooms.go_on()
            else:
                await self._begin(self._stream)
        self._is_open = True
        while True:
            self._take(await self._stream.receive())

    async def _resume(self, stream: Stream) -> bool:
        """Go on with the session that was; False when there is none any more."""
        stream.send(f"<resume xmlns='{SM}' previd='{self._resumption}' h='{self._in}'/>")
        answer = await stream.receive()
        if answer.tag not in (f"{{{SM}}}resumed", f"{{{SM}}}failed"):
            raise StreamBrokenError(etree.tostring(answer, encoding="unicode"))
        first = self._out - len(self._unacknowledged)
        what = etree.QName(answer).localname
        self.story.append(f"{what} h={answer.get('h')} with {first} of {self._out} acknowledged")
        if answer.get("h") is not None:
            self._acknowledge(int(answer.get("h")))
        self._resumption = ""
        if answer.tag == f"{{{SM}}}failed":
            return False
        self._resumption = answer.get("previd")
        for message in self._unacknowledged:
            self._write(message)
        return True

    async def _begin(self, stream: Stream) -> None:
        """Begin a session, and send again what nobody acknowledged."""
        await stream.bind(self.resource)
        if self.kind is not Kind.PLAIN:
            resume = " resume='true'" if self.kind in (Kind.RESUMES, Kind.COUNTS) else ""
            stream.send(f"<enable xmlns='{SM}'{resume}/>")
            enabled = await stream.receive()
            if enabled.tag != f"{{{SM}}}enabled":
                raise StreamBrokenError(etree.tostring(enabled, encoding="unicode"))
            self._resumption = enabled.get("id", "") if resume else ""
        again = [
            each
            for each in self._unacknowledged
            if isinstance(each, Sent) and each not in self._again and self._may_repeat(each)
        ]
        self.story.append(f"begins, again {[each.number for each in again]}")
        self._unacknowledged.clear()
        self._in = self._out = 0
        self._held = [] if self.kind is Kind.PULLS else None
        self._send_stanza("<presence/>")
        self.rooms.begin()
        if self.kind is Kind.PULLS:
            self._pull()
        for message in again:
            if room_at(message.recipient):
                self._again.append(message)  # when it is in the room
            else:
                self._send_message(message)

    # -- sending

    def _send_message(self, message: Sent) -> None:
        message.fate = Fate.UNKNOWN
        self._send_stanza(message)

    def _send_stanza(self, message: Sent | str) -> None:
        """Send a message, or the text of anything else."""
        if self.kind is not Kind.PLAIN:
            self._out += 1
            self._unacknowledged.append(message)
        self._write(message)
        if self.kind is not Kind.PLAIN and self._chance.random() < 0.3 and self._stream is not None:
            self._stream.send(f"<r xmlns='{SM}'/>")

    def _write(self, message: Sent | str) -> None:
        if isinstance(message, Sent):
            message.attempts += 1
            message = self._text(message)
        if self._stream is not None:
            self._stream.send(message)

    def _text(self, message: Sent) -> str:
        origin = "" if self.kind is Kind.COUNTS else f"<origin-id xmlns='urn:xmpp:sid:0' id='{message.id}'/>"
        content = f"<body>{message.id}</body>"
        if message.target:
            content = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{message.target}'/>"
        kind, to = "chat", message.recipient
        if room_at(to):
            kind, to = "groupchat", address_of(to, self.rooms.doors[to])
        return f"<message type='{kind}' id='{message.id}' to='{to}'>{content}{origin}</message>"

    def _pull(self) -> None:
        after = f"<after>{self._pulled}</after>" if self._pulled else ""
        self._answer(
            f"<iq type='set' id='pull'><query xmlns='{MAM}' queryid='pull'>"
            f"<set xmlns='{RSM}'><max>100</max>{after}</set></query></iq>"
        )

    def _acknowledge(self, number: int) -> None:
        """Learn that the server has handled so many of the stanzas of this stream."""
        first = self._out - len(self._unacknowledged)
        if number > self._out:
            self._book.complain(f"{self.name}/{self.resource}: h={number} for {self._out} stanzas")
        for _ in range(min(number, self._out) - first):
            message = self._unacknowledged.popleft()
            if isinstance(message, Sent) and message.fate is Fate.UNKNOWN:
                message.fate = Fate.ACKNOWLEDGED

    # -- receiving

    def _take(self, element: etree._Element) -> None:
        assert self._stream is not None
        name = etree.QName(element)
        if name.namespace == SM:
            if name.localname == "r":
                self._stream.send(f"<a xmlns='{SM}' h='{self._in}'/>")
            elif name.localname == "a":
                self._acknowledge(int(element.get("h")))
            return
        self._in += 1
        if self.rooms.take(element):
            return
        if name.localname == "message":
            self._take_message(element)
        elif name.localname == "iq":
            self._take_iq(element)

    def _take_iq(self, iq: etree._Element) -> None:
        if iq.get("type") in ("get", "set"):
            kind = "result" if iq.find("{urn:xmpp:ping}ping") is not None else "error"
            self._answer(f"<iq type='{kind}' id='{iq.get('id')}' to='{iq.get('from', self.bare)}'/>")
        elif iq.get("id") == "pull":
            fin = iq.find(f"{{{MAM}}}fin")
            if fin is None:
                self.drop()  # the archive cannot be read now
            elif fin.get("complete") == "true":
                held, self._held = self._held or [], None
                for message in held:
                    self._take_message(message)
            else:
                self._pull()

    def _answer(self, text: str) -> None:
        """Send what is no message."""
        assert self._stream is not None
        if self.kind is not Kind.PLAIN:
            self._out += 1
            self._unacknowledged.append(text)
        self._stream.send(text)

    def _take_message(self, message: etree._Element) -> None:
        result = message.find(f"{{{MAM}}}result")
        if result is not None:
            inner = result.find(f".//{{{CLIENT}}}message")
            assert inner is not None
            self._pulled = result.get("id")
            if inner.get("from", "").partition("/")[0] != self.bare:
                self._note(self._pulled, inner)
        elif message.get("type") == "error":
            self._take_refusal(message)
        elif self._held is not None:
            self._held.append(message)
        else:
            own = [each for each in message.findall(STANZA_ID) if each.get("by") == self.bare]
            if len(own) == 1:
                self._note(own[0].get("id"), message)
                self._pulled = max(self._pulled, own[0].get("id"), key=position_of)
            else:
                self._book.complain(
                    f"{self.name}/{self.resource}: {len(own)} archive ids of ours in a message"
                )

    def _take_refusal(self, message: etree._Element) -> None:
        sent = self._book.sent.get(message.get("id", ""))
        if sent is None or sent.sender != self.bare:
            self._book.complain(f"{self.name}/{self.resource}: an error for a message that it never sent")
            return
        # What was answered with an error is handled, too; on a resumed stream the answer comes behind.
        if sent.fate is Fate.ACKNOWLEDGED and sent.attempts == 1 and not self.resumptions:
            self._book.complain(f"{sent.id} was acknowledged, then refused")
        sent.fate = Fate.REFUSED
        sent.was_refused = True
        if self._may_repeat(sent) and sent not in self._again:
            self._again.append(sent)

    def _saw_in_room(self, room: str, archive_id: str, message: etree._Element) -> None:
        """Learn from what the room shows that a message of this device is kept; others may be marked."""
        sent = self._book.sent.get(message.get("id", ""))
        if sent is None or sent.sender != self.bare:
            self.unread.append((room, archive_id))
        elif sent.device == self.resource and sent.fate is Fate.UNKNOWN:
            sent.fate = Fate.ACKNOWLEDGED

    def _may_repeat(self, message: Sent) -> bool:
        """Tell whether the server can recognise a repeat; a refused message may have been kept after all."""
        return self.kind is not Kind.COUNTS or message.fate is not Fate.REFUSED

    def _note(self, archive_id: str, message: etree._Element) -> None:
        id_ = message.get("id", "")
        known = self.arrived.setdefault(archive_id, id_)
        if known != id_:
            self._book.complain(f"{self.name}/{self.resource}: {archive_id} is {known} and {id_}")
        if len(self.arrived) == self._noted:
            self.repeats += 1
            return
        self._noted = len(self.arrived)
        if message.find(DISPLAYED) is None:
            self.unread.append((message.get("from", "").partition("/")[0], id_))


def position_of(archive_id: str) -> int:
    """The position that an archive id names; 0 for no id."""
    return int(archive_id.rpartition("-")[2] or 0)


async def cancelled(task: asyncio.Task[None]) -> None:
    """End a task and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
