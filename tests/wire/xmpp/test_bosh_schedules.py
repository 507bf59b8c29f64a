"""A client and a BOSH session over a network that loses, repeats and reorders: nothing is lost or doubled."""

from __future__ import annotations

import itertools
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh import BoshOptions, BoshSession, BoshState, Closed, Received, read_body

OPTIONS = BoshOptions(wait=60, hold=2, inactivity=100_000, polling=5, repeats=100_000)


class Story:
    """One performance; each step is drawn by chance."""

    def __init__(self, seed: int, hold: int, *, acknowledges: bool) -> None:
        self.chance = Random(seed)
        self.now = 0.0
        self.rid = itertools.count(500)
        self.exchanges = itertools.count(1)
        self.acknowledges = acknowledges
        self.up, self.down = itertools.count(), itertools.count()
        self.heard_by_server: list[int] = []
        self.heard_by_client: list[int] = []
        self.requests: dict[int, bytes] = {}  # unanswered, by rid, as the client wrote them
        self.travelling: list[tuple[int, bytes]] = []
        self.waiting: dict[int, int] = {}  # rid by exchange
        self.returning: list[tuple[int, Element]] = []
        self.answers: dict[int, list[int]] = {}
        self.next_answer = 500
        first = self.write(f"to='example.org' ver='1.11' wait='60' hold='{hold}'" + " ack='1'" * acknowledges)
        self.window = hold + 1
        body = read_body(self.requests[500], XmlLimits())
        self.session = BoshSession(body, sid="s", now=0.0, options=OPTIONS)
        self.travelling.append(first)
        self.arrive(0)

    def write(self, attributes: str = "", content: str = "") -> tuple[int, bytes]:
        rid = self.last_rid = next(self.rid)
        ack = f" ack='{self.next_answer - 1}'" if self.acknowledges and rid > 500 else ""
        raw = f"<body xmlns='{ns.BOSH}' rid='{rid}' sid='s'{ack} {attributes}>{content}</body>".encode()
        self.requests[rid] = raw
        return rid, raw

    @property
    def may_ask(self) -> bool:
        """A client that reads answers in order asks no more while an old one is missing."""
        return self.last_rid - self.next_answer + 1 < self.window

    # --- steps

    def ask(self) -> None:
        """The client sends something, if it may."""
        if self.may_ask and self.next_answer > 500:
            number = next(self.up)
            self.travelling.append(self.write(content=f"<message id='{number}'/>"))

    def say(self) -> None:
        self.session.send(f"<message xmlns='jabber:client' id='{next(self.down)}'/>".encode())

    def arrive(self, position: int | None = None) -> None:
        """A request reaches the server, in any order."""
        if self.travelling:
            chosen = self.chance.randrange(len(self.travelling)) if position is None else position
            rid, raw = self.travelling.pop(chosen)
            exchange = next(self.exchanges)
            self.waiting[exchange] = rid
            for event in self.session.receive(read_body(raw, XmlLimits()), exchange, self.now):
                assert not isinstance(event, Closed), event
                if isinstance(event, Received):
                    self.heard_by_server.append(int(event.payload.attributes["id"]))

    def flush(self) -> None:
        for answer in self.session.flush(self.now):
            rid = self.waiting.pop(answer.exchange, None)
            if rid is not None:  # else the connection has broken meanwhile
                self.returning.append((rid, decode(answer.body, "")))

    def listen(self) -> None:
        """An answer reaches the client, in any order."""
        if self.returning:
            rid, answer = self.returning.pop(self.chance.randrange(len(self.returning)))
            assert answer.get("type") in {None, "error"}
            if answer.get("type") == "error" or rid not in self.requests:
                return
            del self.requests[rid]
            # The client lets go of the sockets that it repeated the request on.
            self.travelling = [copy for copy in self.travelling if copy[0] != rid]
            self.answers[rid] = [int(child.get("id") or 0) for child in answer.children]
            while self.next_answer in self.answers:
                self.heard_by_client += self.answers.pop(self.next_answer)
                self.next_answer += 1

    def lose_request(self) -> None:
        if self.travelling:
            self.travelling.pop(self.chance.randrange(len(self.travelling)))

    def lose_answer(self) -> None:
        if self.returning:
            self.returning.pop(self.chance.randrange(len(self.returning)))

    def break_connection(self) -> None:
        if self.waiting:
            exchange = self.chance.choice(list(self.waiting))
            del self.waiting[exchange]
            self.session.lost(exchange, self.now)

    def repeat(self) -> None:
        """The client sends an unanswered request again, whether or not it was lost."""
        if self.requests:
            rid = self.chance.choice(list(self.requests))
            self.travelling.append((rid, self.requests[rid]))

    def wait(self) -> None:
        self.now += self.chance.choice([0.1, 2.0, 61.0])
        assert self.session.expire(self.now) == []
        self.flush()

    def run(self) -> None:
        steps = [self.ask, self.say, self.arrive, self.flush, self.listen, self.repeat]
        troubles = [self.lose_request, self.lose_answer, self.break_connection, self.wait]
        for _ in range(300):
            self.chance.choice(steps * 3 + troubles)()
        # The network heals: everything under way comes to its end.
        sent, said = next(self.up), next(self.down)
        for _ in range(200):
            while self.travelling:
                self.arrive(0)
            self.flush()
            while self.returning:
                self.listen()
            for rid, raw in list(self.requests.items()):
                if rid not in self.waiting.values():
                    self.travelling.append((rid, raw))
            if not self.travelling:
                if not self.session.buffered and len(self.heard_by_client) == said:
                    break
                self.now += 61.0
                self.flush()
                if self.may_ask:
                    self.travelling.append(self.write())
        assert self.heard_by_server == list(range(sent))
        assert self.heard_by_client == list(range(said))
        assert self.session.state is BoshState.OPEN


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), hold=st.sampled_from([1, 2]), acknowledges=st.booleans())
def test_nothing_is_lost_doubled_or_out_of_order(seed, hold, acknowledges):
    Story(seed, hold, acknowledges=acknowledges).run()
