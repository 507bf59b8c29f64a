"""Stream management's errors as XEP-0198 lists them: what a client does when, and the answer to it."""

from __future__ import annotations

import pytest

from tests.features.test_stream_management import PHONE, failure, options
from tests.harness.world import World
from tests.streams.stand import AUTH, BIND, HEADER, Raw, conditions, plain, standing
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ENABLE = f"<enable xmlns='{ns.SM}'/>"
RESUME = f"<resume xmlns='{ns.SM}' previd='{{}}' h='{{}}'/>"
R = f"<r xmlns='{ns.SM}'/>"
A = f"<a xmlns='{ns.SM}' h='{{}}'/>"
FAILED = f'<failed xmlns="{ns.SM}"><{{}} xmlns="{ns.STANZA_ERRORS}"/>'

BEFORE_LOGIN, AFTER_LOGIN, BOUND, ENABLED = "before log-in", "after log-in", "bound", "enabled"

FAILURES = [
    # §3: not before log-in, nor before binding
    (BEFORE_LOGIN, ENABLE, "unexpected-request"),
    (BEFORE_LOGIN, RESUME.format("x", 0), "unexpected-request"),
    (AFTER_LOGIN, ENABLE, "unexpected-request"),
    (BOUND, ENABLE.replace("/>", " resume='perhaps'/>"), "bad-request"),
    (BOUND, ENABLE.replace("/>", " max='-1'/>"), "bad-request"),
    # §4: no acks of what is not counted
    (AFTER_LOGIN, R, "unexpected-request"),
    (AFTER_LOGIN, A.format(0), "unexpected-request"),
    (BOUND, R, "unexpected-request"),
    (BOUND, A.format(0), "unexpected-request"),
    # §5: a session that is not known, or said wrongly, or asked for too late
    (AFTER_LOGIN, RESUME.format("nothing", 0), "item-not-found"),
    (AFTER_LOGIN, RESUME.format("nothing", "many"), "bad-request"),
    (AFTER_LOGIN, RESUME.format("nothing", 2**32), "bad-request"),
    (AFTER_LOGIN, RESUME.format("", 0), "bad-request"),
    (AFTER_LOGIN, f"<resume xmlns='{ns.SM}' previd='x'/>", "bad-request"),
    (BOUND, RESUME.format("x", 0), "unexpected-request"),
    (ENABLED, RESUME.format("x", 0), "unexpected-request"),
]

ENDINGS = [
    (BEFORE_LOGIN, R, "not-authorized"),
    (BEFORE_LOGIN, A.format(0), "not-authorized"),
    (ENABLED, ENABLE, "policy-violation"),  # §3: a second one
    (ENABLED, A.format(1), "undefined-condition"),  # §6
    (ENABLED, A.format(-1), "bad-format"),
    (ENABLED, f"<a xmlns='{ns.SM}'/>", "bad-format"),
    (ENABLED, f"<b xmlns='{ns.SM}'/>", "unsupported-stanza-type"),
]


async def stand_at(client: Raw, place: str) -> None:
    """Bring a stream so far."""
    await client.say(HEADER, until="</stream:features>")
    if place == BEFORE_LOGIN:
        return
    await client.say(AUTH.format(plain("alice")), until="<success")
    await client.say(HEADER, until="</stream:features>")
    if place == AFTER_LOGIN:
        return
    await client.say(BIND.format("phone"), until="</iq>")
    if place == ENABLED:
        await client.say(ENABLE, until="<enabled")


@pytest.mark.parametrize(("place", "text", "condition"), FAILURES)
async def test_a_failure_leaves_the_stream_as_it_was(place: str, text: str, condition: str) -> None:  # §6
    async with standing() as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await stand_at(client, place)
        heard = await client.say(text, until="</failed>")
        assert FAILED.format(condition) in heard
        match place:  # and what would have come next still comes
            case "before log-in":
                await client.say(AUTH.format(plain("alice")), until="<success")
            case "after log-in":  # §5: rather than forcing the client to log in again
                assert 'type="result"' in await client.say(BIND.format("phone"), until="</iq>")
            case "bound":
                await client.say(ENABLE, until="<enabled")
            case _:
                await client.say(R, until=f'<a xmlns="{ns.SM}" h="0"/>')


@pytest.mark.parametrize(("place", "text", "condition"), ENDINGS)
async def test_misuse_that_ends_the_stream(place: str, text: str, condition: str) -> None:  # §6
    async with standing() as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await stand_at(client, place)
        client.push(text)
        assert conditions(await client.rest()) == [condition]


INLINE = [
    # §9.2: what cannot be resumed, and what <success/> says of it before it names the new session
    (RESUME.format("nothing", 0), "item-not-found"),
    (RESUME.format("nothing", "many"), "bad-request"),
    (ENABLE, "unexpected-request"),  # it belongs into <bind/>
]


@pytest.mark.parametrize(("text", "condition"), INLINE)
async def test_log_in_holds_where_resumption_together_with_it_fails(text: str, condition: str) -> None:
    async with standing() as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        client.push(
            f"<authenticate xmlns='{ns.SASL2}' mechanism='PLAIN'><initial-response>{plain('alice')}"
            f"</initial-response>{text}<bind xmlns='{ns.BIND2}'/></authenticate>"
        )
        success = await client.hear("</success>")
        assert FAILED.format(condition) in success
        assert f'<bound xmlns="{ns.BIND2}"' in success
        await client.say(ENABLE, until="<enabled")


async def test_who_has_lost_count_is_told_instead_of_success() -> None:  # §6, §9.2
    async with standing() as stand:
        await stand.register("alice@localhost")
        first = await stand.connect()
        await stand_at(first, BOUND)
        enabled = await first.say(ENABLE.replace("/>", " resume='true'/>"), until="/>")
        name = enabled.partition(' id="')[2].partition('"')[0]
        again = await stand.connect()
        await again.say(HEADER, until="</stream:features>")
        again.push(
            f"<authenticate xmlns='{ns.SASL2}' mechanism='PLAIN'><initial-response>{plain('alice')}"
            f"</initial-response>{RESUME.format(name, 7)}</authenticate>"
        )
        heard = await again.rest()
        assert conditions(heard) == ["undefined-condition"]
        assert f'<handled-count-too-high xmlns="{ns.SM}" h="7" send-count="0"/>' in heard
        assert "<success" not in heard
        assert conditions(await first.rest()) == ["conflict"]


async def test_a_server_without_resumption_says_so() -> None:  # §5
    world = await World.start(options=options(resume_seconds=0))
    alice = await world.login(PHONE)
    alice.stream_id = "from-before"
    assert failure(await world.resume(alice)) == ("feature-not-implemented", None)
    await world.stop()


async def test_a_refused_enable_in_bind_2_still_gives_a_session(world: World) -> None:  # §9.1
    alice = await world.login(PHONE, inline=(Element("enable", ns.SM, {"max": "long"}),))
    [failed] = alice.answers
    assert failure(failed)[0] == "bad-request"
    assert not alice.closed
