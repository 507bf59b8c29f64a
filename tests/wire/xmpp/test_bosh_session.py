"""The rules of a BOSH session (XEP-0124, XEP-0206), with time as a number; § marks: XEP-0124."""

from __future__ import annotations

import hashlib
from itertools import count

import pytest

from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.bosh import (
    BindingError,
    Body,
    BoshOptions,
    BoshSession,
    BoshState,
    Closed,
    Ending,
    Opened,
    Received,
    Restarted,
    TerminalCondition,
    read_body,
)
from tidings.wire.xmpp.bosh.request import Arrival

OPTIONS = BoshOptions(
    wait=60, hold=2, inactivity=30, polling_inactivity=90, polling=5, max_pause=120, repeats=3
)
PRESENCE = "<presence xmlns='jabber:client'/>"
NEWS = b"<message xmlns='jabber:client'><body>news</body></message>"


class Client:
    """A client that writes wrappers, and a session that answers them; exchanges are numbers."""

    def __init__(self, *, rid: int = 1000, options: BoshOptions = OPTIONS, greet: bool = True, **attributes):
        self.now = 0.0
        self.rid = rid
        self.exchanges = count(1)
        self.answers: dict[int, Element] = {}
        self.statuses: dict[int, int] = {}
        self.order: list[int] = []
        asked = {"to": "example.org", "ver": "1.6", "wait": "60", "hold": "1"} | attributes
        body = make(rid, **{name: value for name, value in asked.items() if value is not None})
        self.session = BoshSession(body, sid="SID", now=0.0, options=options)
        self.events = self.receive(body)
        if greet:
            self.session.send(b"<stream:features/>")
            self.flush()
            self.now += 10

    def request(self, content: str = "", *, rid: int | None = None, flush: bool = True, **attributes) -> int:
        """Send a request, the next one or any, and give its exchange."""
        if rid is None:
            self.rid = rid = self.rid + 1
        self.receive(make(rid, content, sid="SID", **attributes))
        exchange = self.last_exchange
        if flush:
            self.flush()
        return exchange

    def receive(self, body: Body):
        self.last_exchange = next(self.exchanges)
        self.events = self.session.receive(body, self.last_exchange, self.now)
        return self.events

    def send(self, payload: bytes = NEWS):
        self.session.send(payload)
        self.flush()

    def flush(self):
        for answer in self.session.flush(self.now):
            assert answer.exchange not in self.answers, "an exchange was answered twice"
            self.answers[answer.exchange] = decode(answer.body, "")
            self.statuses[answer.exchange] = answer.status
            self.order.append(answer.exchange)

    def pass_time(self, seconds: float):
        """Let time pass, calling the session at its deadlines."""
        end = self.now + seconds
        self.events = []
        while (deadline := self.session.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.events += self.session.expire(self.now)
            self.flush()
            assert self.session.deadline is None or self.session.deadline > self.now, "a deadline that stays"
        self.now = end

    def condition(self, exchange: int) -> str | None:
        answer = self.answers[exchange]
        return answer.get("condition") if answer.get("type") == "terminate" else None

    def elements(self, exchange: int) -> list[str]:
        return [child.text_of("body") or child.name for child in self.answers[exchange].children]


def make(rid: object, inside: str = "", /, **attributes) -> Body:
    written = " ".join(f"{name.replace('__', ':')}='{value}'" for name, value in attributes.items())
    raw = f"<body xmlns='{ns.BOSH}' xmlns:xmpp='{ns.XBOSH}' rid='{rid}' {written}>{inside}</body>"
    return read_body(raw.encode(), XmlLimits())


def is_plain(answer: Element) -> bool:
    return not answer.children and answer.get("type") is None


# --- §7: a session begins


def test_the_first_answer_tells_the_terms_and_carries_the_features():
    client = Client(xml__lang="cs", xmpp__version="1.0", ack="1", **{"from": "a@example.org"}, greet=False)
    assert client.events == [Opened("example.org", "a@example.org", "cs", "1.0")]
    client.flush()
    assert client.answers == {}  # §8: held until there is something to say
    client.send(b"<stream:features/>")
    answer = client.answers[1]
    assert answer.attributes == {
        "sid": "SID",
        "wait": "60",
        "hold": "1",
        "requests": "2",
        "inactivity": "30",
        "polling": "5",
        "maxpause": "120",
        "ver": "1.6",
        "from": "example.org",
        "ack": "1000",
        "charsets": "UTF-8",
        "{urn:xmpp:xbosh}version": "1.0",
        "{urn:xmpp:xbosh}restartlogic": "true",
    }
    assert answer.find("features", ns.STREAMS) is not None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"wait": "300", "hold": "9"}, {"wait": "60", "hold": "2", "requests": "3", "inactivity": "30"}),
        ({"wait": "10", "hold": "1"}, {"wait": "10", "hold": "1", "requests": "2", "inactivity": "30"}),
        ({"wait": "0", "hold": "1"}, {"wait": "0", "hold": "0", "requests": "1", "inactivity": "90"}),
        ({"wait": "60", "hold": "0"}, {"wait": "0", "hold": "0", "requests": "1", "inactivity": "90"}),
        ({"wait": None, "hold": None}, {"wait": "60", "hold": "1", "requests": "2"}),
        ({"ver": "1.12"}, {"ver": "1.11"}),
        ({"ver": "1.9"}, {"ver": "1.9"}),
        ({"ver": "2.0"}, {"ver": "1.11"}),
    ],
)
def test_terms_are_the_lower_of_both_sides(asked, told):
    client = Client(**asked)
    assert told.items() <= client.answers[1].attributes.items()


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        ({"to": None}, "improper-addressing"),
        ({"to": ""}, "improper-addressing"),
        ({"wait": "-1"}, "bad-request"),
        ({"wait": "soon"}, "bad-request"),
        ({"hold": "1.5"}, "bad-request"),
        ({"hold": "9" * 40}, "bad-request"),
        ({"ver": "one"}, "bad-request"),
        ({"content": "text/html&#10;Set-Cookie: a=b"}, "bad-request"),
        ({"content": "text/html; charset=utf-16"}, "bad-request"),
    ],
)
def test_a_first_request_that_makes_no_sense_is_refused(asked, condition):
    with pytest.raises(BindingError) as caught:
        Client(**asked)
    assert caught.value.condition == condition


def test_answers_have_the_content_type_that_the_client_can_read():
    client = Client(content="text/html; charset=utf-8", greet=False)
    client.session.send(NEWS)
    answers = client.session.flush(0.0)
    assert [answer.content_type for answer in answers] == ["text/html; charset=utf-8"]


# --- §8: sending and receiving


def test_elements_pass_in_both_directions():
    client = Client()
    first = client.request(PRESENCE + PRESENCE)
    assert [event.payload.name for event in client.events if isinstance(event, Received)] == ["presence"] * 2
    assert first not in client.answers
    client.send()
    assert client.elements(first) == ["news"]


def test_a_new_request_releases_the_one_held_before():
    client = Client()
    first = client.request()
    second = client.request(PRESENCE)
    assert is_plain(client.answers[first])
    assert client.answers[first].get("ack") == str(client.rid)  # §9.1: the higher rid has arrived
    assert second not in client.answers


def test_what_the_server_says_at_once_goes_with_the_oldest_request():
    client = Client()
    first = client.request()
    second = client.request(PRESENCE, flush=False)
    client.send()
    assert client.elements(first) == ["news"]
    assert second not in client.answers


def test_as_many_requests_are_held_as_agreed():
    client = Client(hold="2")
    held = [client.request(PRESENCE) for _ in range(3)]
    assert is_plain(client.answers[held[0]])
    assert held[1] not in client.answers
    client.send()
    assert client.elements(held[1]) == ["news"]
    assert held[2] not in client.answers


def test_elements_wait_for_a_request():
    client = Client()
    client.send(NEWS)
    client.send(NEWS)
    assert client.session.buffered == 2 * len(NEWS)
    exchange = client.request()
    assert client.elements(exchange) == ["news", "news"]
    assert client.session.buffered == 0


def test_an_answer_is_not_filled_without_end():
    client = Client(options=BoshOptions(answer_bytes=2 * len(NEWS)))
    for _ in range(5):
        client.session.send(NEWS)
    assert [len(client.elements(client.request())) for _ in range(3)] == [2, 2, 1]


def test_a_request_is_answered_empty_after_the_longest_wait():
    client = Client(wait="20")
    exchange = client.request()
    assert client.session.deadline == client.now + 20
    client.pass_time(19.9)
    assert exchange not in client.answers
    client.pass_time(0.2)
    assert is_plain(client.answers[exchange])


# --- §9: acknowledgements


def test_a_seen_answer_is_forgotten_and_a_lost_one_reported():
    client = Client(ack="1")
    first = client.request(PRESENCE)
    client.send()
    assert client.elements(first) == ["news"]
    client.now += 2
    second = client.request(PRESENCE, ack="1000")  # the answer to 1001 has not come
    answer = client.answers[second]
    assert (answer.get("report"), answer.get("time")) == ("1001", "2000")
    assert client.session.arrival(1000) is Arrival.OUTSIDE
    assert client.elements(client.request(rid=1001)) == ["news"]


def test_an_answer_that_is_still_on_its_way_is_not_reported():
    client = Client(ack="1")
    client.request(PRESENCE)
    client.send()
    client.now += 0.5
    assert client.request(PRESENCE, ack="1000") not in client.answers


# --- §10: inactivity and pauses


def test_a_silent_client_is_gone():
    client = Client()
    exchange = client.request()
    client.pass_time(60)  # the wait is over
    assert is_plain(client.answers[exchange])
    client.pass_time(29)
    assert client.session.state is BoshState.OPEN
    client.pass_time(2)
    assert client.events == [Closed(Ending.SILENCE)]
    assert client.session.deadline is None


def test_a_client_that_waits_is_not_silent():
    client = Client()
    client.request()
    client.pass_time(59)
    assert client.session.state is BoshState.OPEN


def test_a_broken_connection_starts_the_silence():
    client = Client()
    exchange = client.request()
    client.now += 40
    client.session.lost(exchange, client.now)
    assert client.session.deadline == client.now + 30
    client.pass_time(31)
    assert client.events == [Closed(Ending.SILENCE)]
    assert exchange not in client.answers


def test_a_pause_releases_everything_and_lengthens_the_silence():
    client = Client()
    first = client.request()
    pause = client.request(pause="100", flush=False)
    client.send()
    assert client.elements(first) == ["news"]
    assert is_plain(client.answers[pause])
    client.pass_time(99)
    assert client.session.state is BoshState.OPEN
    client.request()  # the silence is as before again
    client.session.lost(client.last_exchange, client.now)
    client.pass_time(31)
    assert client.session.state is BoshState.ENDED


def test_the_answer_to_a_pause_carries_nothing():
    client = Client()
    pause = client.request(pause="100", flush=False)
    client.send()
    assert is_plain(client.answers[pause])
    assert client.elements(client.request()) == ["news"]


@pytest.mark.parametrize(
    ("pause", "condition"), [("121", "policy-violation"), ("-1", "bad-request"), ("x", "bad-request")]
)
def test_a_pause_has_a_limit(pause, condition):
    client = Client()
    assert client.condition(client.request(pause=pause)) == condition


# --- §11 and §12: overactivity


def test_too_many_requests_at_a_time_end_the_session():
    client = Client()
    client.request(PRESENCE, flush=False)
    second = client.request(PRESENCE, flush=False)
    third = client.request(PRESENCE, flush=False)
    client.flush()
    assert client.condition(third) == "policy-violation"
    assert client.condition(second) == "other-request"
    assert client.session.state is BoshState.ENDED


@pytest.mark.parametrize("attributes", [{"pause": "30"}, {"type": "terminate"}])
def test_one_more_request_may_pause_or_end(attributes):
    client = Client()
    client.request(PRESENCE, flush=False)
    client.request(PRESENCE, flush=False)
    exchange = client.request(**attributes)
    assert client.condition(exchange) is None


@pytest.mark.parametrize(("seconds", "condition"), [(4.4, "policy-violation"), (4.51, None), (5.0, None)])
def test_empty_requests_on_top_of_others_have_a_pace(seconds, condition):
    client = Client()
    client.request()
    client.now += seconds
    second = client.request()
    assert (client.condition(second) if second in client.answers else None) == condition


def test_a_restart_and_a_request_with_content_have_no_pace():
    client = Client()
    client.request()
    client.request(PRESENCE)
    client.request(xmpp__restart="true")
    assert client.session.state is BoshState.OPEN


def test_a_client_whose_connection_broke_may_ask_again_at_once():
    """A page that is loaded anew goes on with the next rid while its last request is still held."""
    client = Client()
    held = client.request()
    client.session.lost(held, client.now)
    again = client.request()
    client.send()
    assert client.elements(again) == ["news"]


@pytest.mark.parametrize(("seconds", "condition"), [(4.4, "policy-violation"), (4.51, None), (5.0, None)])
def test_polling_has_a_pace(seconds, condition):
    client = Client(hold="0")
    client.request()
    client.now += seconds
    assert client.condition(client.request()) == condition


def test_polling_may_be_faster_while_there_is_news():
    client = Client(hold="0")
    client.session.send(NEWS)
    assert client.elements(client.request()) == ["news"]
    assert is_plain(client.answers[client.request()])
    assert client.condition(client.request()) == "policy-violation"


def test_a_polling_client_may_be_silent_longer():
    client = Client(wait="0")
    client.pass_time(79)
    assert client.session.state is BoshState.OPEN
    client.pass_time(2)
    assert client.session.state is BoshState.ENDED


# --- §13: the end


def test_the_client_ends_the_session_and_its_last_elements_count():
    client = Client()
    first = client.request()
    last = client.request("<presence xmlns='jabber:client' type='unavailable'/>", type="terminate")
    received, closed = client.events
    assert received.payload.attributes == {"type": "unavailable"}
    assert closed == Closed(Ending.CLIENT)
    assert client.answers[first].attributes == {"type": "terminate"}
    assert is_plain(client.answers[last])
    assert client.session.state is BoshState.ENDED


def test_the_server_ends_the_session_with_a_stream_error():
    client = Client()
    exchange = client.request()
    client.session.send(NEWS)
    client.session.close(
        TerminalCondition.REMOTE_STREAM_ERROR,
        b"<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    )
    client.flush()
    assert client.condition(exchange) == "remote-stream-error"
    assert client.elements(exchange) == ["news", "error"]
    assert client.session.state is BoshState.ENDED


def test_the_news_of_the_end_waits_for_a_request():
    client = Client()
    client.session.close(TerminalCondition.SYSTEM_SHUTDOWN)
    client.flush()
    exchange = client.request(PRESENCE)
    assert client.events == []
    assert client.condition(exchange) == "system-shutdown"
    assert client.session.state is BoshState.ENDED


def test_the_news_of_the_end_does_not_wait_for_ever():
    client = Client()
    client.session.close()
    client.flush()
    client.pass_time(31)
    assert client.events == []
    assert client.session.state is BoshState.ENDED


def test_nothing_is_taken_after_the_end():
    client = Client()
    client.request(type="terminate")
    exchange = client.request(PRESENCE)
    assert client.events == []
    assert client.condition(exchange) == "item-not-found"


# --- §14: request ids


def test_requests_are_taken_in_order_however_they_arrive():
    client = Client(hold="2")
    message = "<message xmlns='jabber:client' id='{}'/>"
    third = client.request(message.format(3), rid=1003)
    second = client.request(message.format(2), rid=1002)
    assert client.events == []
    assert client.answers.keys() == {1}
    first = client.request(message.format(1), rid=1001)
    assert [event.payload.attributes["id"] for event in client.events] == ["1", "2", "3"]
    client.flush()
    for _ in range(3):
        client.send()
    assert client.order == [1, first, second, third]


def test_a_request_that_never_comes_does_not_hold_the_others_for_ever():
    client = Client()
    waiting = client.request(PRESENCE, rid=1002)
    client.pass_time(31)
    assert client.events == [Closed(Ending.SILENCE)]
    assert client.condition(waiting) == "other-request"


@pytest.mark.parametrize(
    ("jump", "arrival"),
    [
        (-900, Arrival.OUTSIDE),
        (-1, Arrival.OUTSIDE),
        (0, Arrival.ANSWERED),
        (1, Arrival.NEXT),
        (2, Arrival.EARLY),
        (3, Arrival.OUTSIDE),
        (4, Arrival.OUTSIDE),
        (2**53 - 1001, Arrival.OUTSIDE),
    ],
)
def test_the_window_is_as_wide_as_the_requests_agreed(jump, arrival):
    client = Client()
    assert client.session.arrival(1000 + jump) is arrival


@pytest.mark.parametrize("rid", [1, 999, 1003, 2**53 - 1])
def test_a_rid_outside_of_the_window_ends_the_session(rid):
    """The error is the same whether the rid is too large or too small, so that nobody learns from it."""
    client = Client()
    held = client.request()
    exchange = client.request(rid=rid if rid < 1000 else rid + 1 if rid < 2000 else rid)
    assert client.condition(exchange) == "item-not-found"
    assert client.condition(held) == "other-request"
    assert client.session.state is BoshState.ENDED
    assert [(event.ending, event.condition) for event in client.events] == [
        (Ending.VIOLATION, TerminalCondition.ITEM_NOT_FOUND)
    ]


@pytest.mark.parametrize("rid", ["-1", "0", "many", "9007199254740992", "1e4"])
def test_a_rid_that_is_no_number_ends_the_session(rid):
    client = Client()
    assert client.condition(client.request(rid=rid)) == "bad-request"


def test_a_repeated_request_gets_the_same_answer_and_is_not_taken_twice():
    client = Client()
    first = client.request(PRESENCE)
    client.send()
    again = client.request(PRESENCE, rid=client.rid)
    assert client.events == []
    assert client.answers[again] == client.answers[first]
    assert client.elements(again) == ["news"]


def test_a_repeat_of_a_request_that_is_held_takes_its_place():
    client = Client()
    first = client.request(PRESENCE)
    client.now += 10
    again = client.request(PRESENCE, rid=client.rid)
    assert client.answers[first].attributes == {"type": "error"}
    client.send()
    assert client.elements(again) == ["news"]


def test_a_repeat_of_an_early_request_takes_its_place():
    client = Client()
    first = client.request(PRESENCE, rid=1002)
    again = client.request(PRESENCE, rid=1002)
    client.request(PRESENCE, rid=1001)
    assert client.answers[first].attributes == {"type": "error"}
    client.send()
    assert client.elements(again) == ["news"]


@pytest.mark.parametrize("answered", [True, False])
def test_repeats_have_a_limit(answered):
    client = Client()
    client.request(PRESENCE)
    if answered:
        client.send()
    for _ in range(OPTIONS.repeats):
        client.request(PRESENCE, rid=client.rid)
        assert client.session.state is BoshState.OPEN
    assert client.condition(client.request(PRESENCE, rid=client.rid)) == "policy-violation"


def test_an_answer_too_old_to_be_known_ends_the_session():
    client = Client()
    for _ in range(5):
        client.request(PRESENCE)
        client.send()
    assert client.condition(client.request(PRESENCE, rid=1001)) == "item-not-found"


def test_elements_are_not_lost_on_a_connection_that_is_known_to_be_dead():
    client = Client()
    dead = client.request()
    client.session.lost(dead, client.now)
    client.send()
    assert client.session.buffered == len(NEWS)
    again = client.request(rid=client.rid)  # §14.3
    assert client.elements(again) == ["news"]


def test_elements_go_to_the_next_request_when_the_dead_one_is_not_repeated():
    client = Client()
    dead = client.request()
    client.session.lost(dead, client.now)
    client.send()
    client.now += 6
    assert client.elements(client.request()) == ["news"]
    repeat = client.request(rid=client.rid - 1)
    assert is_plain(client.answers[repeat])


# --- §15: keys


def keys(seed: str, length: int) -> list[str]:
    chain = []
    for _ in range(length):
        seed = hashlib.sha1(seed.encode()).hexdigest()
        chain.append(seed)
    return chain


def test_a_session_with_keys_takes_only_the_next_key():
    first, second = keys("seed", 3), keys("another", 5)
    client = Client(newkey=first.pop())
    client.request(PRESENCE, key=first.pop().upper())
    client.request(PRESENCE, key=first.pop(), newkey=second.pop())
    client.request(PRESENCE, key=second.pop())
    assert client.session.state is BoshState.OPEN


@pytest.mark.parametrize("attributes", [{}, {"key": "0" * 40}, {"key": "short"}, {"newkey": "0" * 40}])
def test_a_request_without_the_right_key_is_not_taken(attributes):
    client = Client(newkey=keys("seed", 9)[-1])
    exchange = client.request(PRESENCE, **attributes)
    assert client.condition(exchange) == "item-not-found"
    assert not any(isinstance(event, Received) for event in client.events)


def test_the_key_of_one_request_does_not_open_another():
    chain = keys("seed", 9)
    client = Client(newkey=chain[-1])
    client.request(PRESENCE, key=chain[-2])
    assert client.condition(client.request(PRESENCE, key=chain[-2])) == "item-not-found"


# --- §17: legacy clients


@pytest.mark.parametrize(
    ("attributes", "status"), [({"rid": 5000}, 404), ({"pause": "999"}, 403), ({"pause": "x"}, 400)]
)
def test_a_client_without_a_version_gets_http_errors(attributes, status):
    client = Client(ver=None)
    assert client.answers[1].get("ver") is None
    assert client.statuses[client.request(**attributes)] == status


# --- XEP-0206 §5: restarts


def test_a_restart_begins_the_stream_anew_and_its_content_is_ignored():
    client = Client()
    exchange = client.request(PRESENCE, xmpp__restart="true", to="Example.org", xml__lang="de")
    assert client.events == [Restarted("example.org", None, "de")]
    client.send(b"<stream:features/>")
    assert client.answers[exchange].find("features", ns.STREAMS) is not None


def test_authentication_restart_and_more_may_be_sent_without_waiting():
    client = Client()
    client.request(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA==</auth>", flush=False
    )
    (auth,) = client.events
    client.request(xmpp__restart="true", flush=False)
    assert auth.payload.name == "auth"
    assert client.events == [Restarted("example.org", None, None)]
    client.flush()
    assert client.session.state is BoshState.OPEN


def test_a_session_stays_with_its_first_domain():
    client = Client()
    exchange = client.request(xmpp__restart="true", to="example.net")
    assert client.condition(exchange) == "policy-violation"
    assert not any(isinstance(event, Restarted) for event in client.events)


def test_another_stream_is_not_opened():
    """§16.3: without support for several streams the extra attributes are ignored."""
    client = Client()
    client.request(to="example.net", stream="x")
    assert client.events == []
    assert client.session.state is BoshState.OPEN
