"""The log at info: who logged in from where, why a session ended, and what strangers cannot fill it with."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.harness.world import World
from tests.streams.stand import AUTH, BIND, HEADER, plain, until
from tests.streams.test_connection import Bench, door, end
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.kernel.events import SessionBound
from tidings.kernel.feature import Feature, listens
from tidings.kernel.session_log import OF_ACCOUNT, OF_GUESSES, OF_STRANGERS
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller

ALICE = "alice@localhost"
WHERE = {"address": "192.0.2.7", "transport": "tcp"}
PHONE = {"account": ALICE, "session": f"{ALICE}/phone", **WHERE}
DEVICE = "d4565fa7-4d72-4749-b3d3-740edbf87770"
SASL2 = (
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{}</initial-response>"
    f"<user-agent id='{DEVICE}'/><bind xmlns='urn:xmpp:bind:0'><tag>phone</tag></bind></authenticate>"
)
MANAGED = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as told:
        yield told


def lines(logs: list[Any], *events: str, level: str = "info") -> list[Any]:
    """Give the lines of these events and this level, without either."""
    return [
        {key: value for key, value in line.items() if key not in {"event", "log_level"}}
        for line in logs
        if line["event"] in events and line["log_level"] == level
    ]


async def call(world: World, category: str, name: str, **arguments: object) -> Any:
    return await CATALOGUE.call(world.context, category, name, arguments)


# --- sessions


async def test_a_log_in_and_a_goodbye_are_told(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    assert lines(logs, "session_bound") == [{**PHONE, "mechanism": "PLAIN"}]
    bench.push("</stream:stream>")
    [ended] = lines(logs, "session_ended")
    assert ended == {**PHONE, "reason": "the client has ended it"}
    assert not lines(logs, "stream_error_sent")
    end(bench)
    assert len(lines(logs, "session_ended")) == 1


async def test_the_line_names_the_device_that_the_client_told(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    bench.push(HEADER)
    bench.push(SASL2.format(plain("alice")))
    await bench.hear("</success>")
    [bound] = lines(logs, "session_bound")
    assert bound["device"] == DEVICE
    end(bench)
    assert lines(logs, "session_ended")[0]["device"] == DEVICE


async def test_a_lost_connection_is_no_goodbye(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    end(bench)
    [ended] = lines(logs, "session_ended")
    assert (ended["condition"], ended["reason"]) == ("connection-timeout", "the connection was lost")


async def test_a_session_that_waits_for_its_client_is_told_until_it_is_over(
    world: World, logs: list[Any]
) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    bench.push(MANAGED)
    await bench.hear("<enabled")
    end(bench)
    [detached] = lines(logs, "session_detached")
    reason = {"condition": "connection-timeout", "reason": "the connection was lost"}
    assert detached == {**PHONE, **reason, "seconds": 300}
    assert not lines(logs, "session_ended")
    await world.advance(300)
    [ended] = lines(logs, "session_ended")
    assert ended["reason"] == "the client did not come back"


async def test_a_session_whose_client_comes_back_is_told_with_where_from(
    world: World, logs: list[Any]
) -> None:
    bob = await world.login("bob@localhost/desk")
    await bob.manage()
    await bob.lose()
    assert lines(logs, "session_detached")[0]["session"] == "bob@localhost/desk"
    await world.resume(bob, transport="websocket")
    [resumed] = lines(logs, "session_resumed")
    assert (resumed["session"], resumed["transport"]) == ("bob@localhost/desk", "websocket")
    assert not lines(logs, "session_ended")


async def test_a_session_tells_that_another_client_has_its_resource(world: World, logs: list[Any]) -> None:
    context = await door(world)
    first, second = Bench(context), Bench(context, address="192.0.2.8")
    await first.log_in()
    await second.log_in()
    [ended] = lines(logs, "session_ended")
    told = {**PHONE, "condition": "conflict", "reason": "another client has taken this resource"}
    assert ended == told
    assert lines(logs, "stream_error_sent") == [told]
    end(first)
    end(second)


async def test_silence_and_slow_reading_are_told(world: World, logs: list[Any]) -> None:
    silent = Bench(await door(world, idle_seconds=100, outbound_bytes=1000))
    await silent.log_in()
    await world.advance(100)
    await world.advance(60)
    assert lines(logs, "session_ended")[0]["reason"] == "no sign of life"
    slow = Bench(silent.connection._context)
    await slow.log_in(resource="slow")
    slow.unread = 100_000
    slow.push("<presence/>")  # which comes back
    await until(lambda: slow.aborted)
    [cut] = lines(logs, "slow_reader", level="warning")
    assert cut == {**PHONE, "session": f"{ALICE}/slow", "octets": 100_000}
    assert lines(logs, "session_ended")[1]["reason"] == "too much is waiting to be read"
    end(silent)
    end(slow)


async def test_who_kicks_and_who_bans_stands_in_the_log(world: World, logs: list[Any]) -> None:
    context = await door(world)
    bench = Bench(context)
    await bench.log_in()
    await call(world, "session", "kick", user=f"{ALICE}/phone", reason="tidy up")
    [kicked] = lines(logs, "kicked")
    assert kicked == {
        "account": ALICE, "session": f"{ALICE}/phone", "reason": "tidy up", "by": "operator", "sessions": 1
    }  # fmt: skip
    [ended] = lines(logs, "session_ended")
    assert ended == {**PHONE, "condition": "policy-violation", "reason": "tidy up", "by": "operator"}
    again = Bench(context)
    await again.log_in()
    await call(world, "account", "ban", user=ALICE, reason="spam")
    assert lines(logs, "account_banned") == [
        {"account": ALICE, "by": "operator", "reason": "spam", "sessions": 1}
    ]
    last = lines(logs, "session_ended")[1]
    assert (last["reason"], last["by"]) == ("the account is banned: spam", "operator")
    await call(world, "account", "unban", user=ALICE)
    assert lines(logs, "account_unbanned") == [{"account": ALICE, "by": "operator"}]
    end(bench)
    end(again)


async def test_an_owner_who_ends_his_own_sessions_is_told_of_by_the_end_alone(
    world: World, logs: list[Any]
) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    context = world.context.acting_for(Caller.user(Jid(ALICE)))
    await CATALOGUE.call(context, "session", "kick", {"user": ALICE})
    assert not lines(logs, "kicked")
    assert lines(logs, "session_ended")[0]["by"] == ALICE
    end(bench)


async def test_a_server_that_stops_ends_its_sessions_for_that_reason(logs: list[Any]) -> None:
    world = await World.start()
    bench = Bench(await door(world))
    await bench.log_in()
    await world.stop()
    assert lines(logs, "session_ended")[0]["reason"] == "the server is stopping"
    assert not lines(logs, "stream_error_sent")


class Failing(Feature):
    """Lets no session begin."""

    @listens(SessionBound)
    async def fail(self, event: SessionBound) -> None:
        raise BackendError("the database is gone")


async def test_a_session_that_cannot_begin_does_not_end_by_its_client(logs: list[Any]) -> None:
    world = await World.start(features=(Failing,))
    bench = Bench(await door(world))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("alice")))
    await bench.hear("<success")
    bench.push(HEADER)
    bench.push(BIND.format("phone"))
    await bench.hear("</iq>")
    await world.settle()
    [ended] = lines(logs, "session_ended")
    assert ended["reason"] == "it could not begin"
    end(bench)
    await world.stop()


async def test_who_gets_no_session_is_told(logs: list[Any]) -> None:
    world = await World.start(sessions_per_account=1)
    context = await door(world)
    first, second = Bench(context), Bench(context)
    await first.log_in()
    second.push(HEADER)
    second.push(AUTH.format(plain("alice")))
    await second.hear("<success")
    second.push(HEADER)
    second.push(BIND.format("desk"))
    await second.hear("</iq>")
    assert lines(logs, "session_refused") == [
        {
            "account": ALICE,
            **WHERE,
            "condition": "resource-constraint",
            "reason": "an account may have 1 sessions",
        }
    ]
    end(first)
    end(second)
    await world.stop()


async def test_an_account_in_a_loop_does_not_fill_the_log(world: World, logs: list[Any]) -> None:
    context = await door(world)
    for _ in range(OF_ACCOUNT + 5):
        bench = Bench(context)
        await bench.log_in()
        end(bench)
    assert len(lines(logs, "session_bound")) == len(lines(logs, "session_ended")) == OF_ACCOUNT
    assert len(lines(logs, "session_bound", level="debug")) == 5
    other = Bench(context)
    await other.log_in("bob")
    assert lines(logs, "session_bound")[-1]["account"] == "bob@localhost"
    await world.advance(60)
    bench = Bench(context)
    await bench.log_in()
    assert lines(logs, "session_bound")[-1]["more"] == 5
    end(bench)
    end(other)


async def test_a_guest_with_a_new_account_each_time_does_not_fill_it_either(logs: list[Any]) -> None:
    world = await World.start(["guests.test"], anonymous=["guests.test"])
    for number in range(OF_ACCOUNT + 5):
        await world.login(f"guest{number}@guests.test/x")
    assert len(lines(logs, "session_bound")) == OF_ACCOUNT
    await world.stop()


async def test_nothing_of_a_message_is_told(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    logs.clear()
    bench.push("<message to='bob@localhost' type='chat' id='1'><body>a secret</body></message>")
    await world.settle()
    assert logs == []
    end(bench)


# --- streams


async def test_a_stream_error_that_we_send_is_told(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    await bench.log_in()
    bench.push("<nonsense xmlns='urn:example'/>")
    told = {**PHONE, "condition": "unsupported-stanza-type", "reason": "<nonsense/> is not known here"}
    assert lines(logs, "stream_error_sent") == [told]
    assert lines(logs, "session_ended") == [told]
    end(bench)


@pytest.mark.parametrize("is_in_session", [True, False])
async def test_a_stream_error_of_the_client_is_told_and_not_answered_with_one(
    world: World, logs: list[Any], is_in_session: bool
) -> None:
    bench = Bench(await door(world))
    if is_in_session:
        await bench.log_in()
    else:
        bench.push(HEADER)
    bench.push(
        "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        f"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{'x' * 10_000}</text></stream:error>"
    )
    [told] = lines(logs, "stream_error_received")
    assert told["condition"] == "not-well-formed"
    assert len(told["reason"]) < 300
    assert told.get("account") == (ALICE if is_in_session else None)
    assert bench.written.endswith("</stream:stream>")
    assert "stream:error" not in bench.written
    if is_in_session:
        assert lines(logs, "session_ended")[0]["condition"] == "not-well-formed"
    assert not lines(logs, "stream_error_sent")
    end(bench)


async def test_wrong_passwords_from_one_network_have_a_bound(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world), address="127.0.0.1")  # which is not slowed down
    bench.push(HEADER)
    for number in range(OF_GUESSES + 5):
        bench.push(AUTH.format(plain(f"user{number}", "wrong")))
        await bench.hear("</failure>")
    assert len(lines(logs, "login_failed")) == OF_GUESSES
    assert len(lines(logs, "login_failed", level="debug")) == 5
    end(bench)


async def test_a_name_cannot_control_a_terminal(world: World, logs: list[Any]) -> None:
    bench = Bench(await door(world))
    bench.push(HEADER)
    bench.push(AUTH.format(plain("al\x9b31mice", "wrong")))
    await bench.hear("</failure>")
    assert "�" in lines(logs, "login_failed")[0]["account"]
    end(bench)


async def test_a_stranger_is_told_of_once_a_minute_whatever_it_does(world: World, logs: list[Any]) -> None:
    context = await door(world)
    for host in range(20):
        bench = Bench(context, address=f"2001:db8::{host}")  # one subscriber
        bench.push(HEADER)
        bench.push("<nonsense xmlns='urn:example'/>")
        end(bench)
    assert len(lines(logs, "stream_error_sent")) == 1
    assert len(lines(logs, "stream_error_sent", level="debug")) == 19
    await world.advance(60)
    bench = Bench(context, address="2001:db8::1")
    bench.push(HEADER)
    bench.push("<nonsense xmlns='urn:example'/>")
    assert lines(logs, "stream_error_sent")[1]["more"] == 19
    end(bench)


async def test_strangers_from_everywhere_have_a_bound_together(world: World, logs: list[Any]) -> None:
    context = await door(world)
    for network in range(OF_STRANGERS + 50):
        bench = Bench(context, address=f"2001:db8:0:{network:x}::1")
        bench.push(HEADER)
        bench.push("<nonsense xmlns='urn:example'/>")
        end(bench)
    assert len(lines(logs, "stream_error_sent")) == OF_STRANGERS


async def test_a_refusal_of_the_throttle_is_told_apart_from_a_wrong_password(
    world: World, logs: list[Any]
) -> None:
    context = await door(world)
    benches = []
    for _ in range(12):
        bench = Bench(context)
        benches.append(bench)
        bench.push(HEADER)
        bench.push(AUTH.format(base64.b64encode(b"\0alice\0wrong").decode()))
    await until(lambda: world.server.telemetry.login_failures["not-authorized"] == 3)
    await world.settle()
    await world.advance(0)
    told = {"account": ALICE, **WHERE, "mechanism": "PLAIN", "condition": "not-authorized"}
    assert lines(logs, "login_failed") == [told, told, told]  # whoever counts guesses sees each
    assert lines(logs, "login_throttled") == [{"account": ALICE, **WHERE}]
    assert len(lines(logs, "login_throttled", level="debug")) == 5
    for bench in benches:
        end(bench)
