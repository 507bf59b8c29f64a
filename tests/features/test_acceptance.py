"""Reports of acceptance: the device that asks knows at once what the archive calls what it sent."""

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.acceptance import AcceptedReport, EnableReports
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
ENABLE = "<iq type='set' id='e'><enable xmlns='urn:tidings:accepted:0'/></iq>"
DISABLE = "<iq type='set' id='d'><disable xmlns='urn:tidings:accepted:0'/></iq>"


def message(number: int, *content: str, body: str = "Hello") -> str:
    text = f"<body>{body}</body>" if body else ""
    return f"<message to='bob@localhost' type='chat' id='m{number}'>{text}{''.join(content)}</message>"


def reports(client: WorldClient) -> list[AcceptedReport]:
    """Take the reports, which are all messages that the client got."""
    found = []
    for each in client.take("message"):
        assert (each.get("from"), each.get("to"), each.get("type")) == (
            client.jid.bare,
            client.jid,
            None,
        )
        [child] = each.children
        found.append(AcceptedReport.decode(child))
    return found


@pytest.fixture
async def alice(world: World) -> WorldClient:
    await world.register("bob@localhost")
    client = await world.online("alice@localhost/a")
    assert (await client.request(ENABLE)).get("type") == "result"
    return client


async def test_the_domain_tells_that_it_reports(alice: WorldClient) -> None:
    query = "<iq type='get' to='localhost' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    found = {each.get("var") for each in (await alice.request(query)).children[0].find_all("feature")}
    assert {"urn:tidings:accepted:0", "urn:tidings:time:0"} <= found


async def test_a_report_tells_what_the_archive_has(world: World, alice: WorldClient) -> None:
    bob = await world.online("bob@localhost/b")
    world.clock.advance(1.25)
    await alice.send(message(1, "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"))
    first, last = await world.stores.ledger.ends(ALICE)
    assert first == last
    assert reports(alice) == [AcceptedReport(StanzaId(str(last.id), ALICE), last.time, "m1", "o1")]
    [delivered] = bob.take("message")
    assert delivered.find("time", ns.TIDINGS_TIME).get("stamp") == "2026-01-01T00:00:01.250000Z"


async def test_reports_come_in_order(alice: WorldClient) -> None:
    await alice.send(*(message(number) for number in range(1, 6)))
    told = reports(alice)
    assert [each.id for each in told] == ["m1", "m2", "m3", "m4", "m5"]
    positions = [int(each.stanza_id.id.rpartition("-")[2]) for each in told]
    assert positions == [1, 2, 3, 4, 5]


async def test_a_message_without_an_id_is_reported_without_one(alice: WorldClient) -> None:
    await alice.send("<message to='bob@localhost' type='chat'><body>x</body></message>")
    [report] = reports(alice)
    assert (report.id, report.origin_id) == (None, None)


async def test_a_message_that_is_sent_again_is_told_its_first_id(world: World, alice: WorldClient) -> None:
    text = message(1, "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>")
    await alice.send(text)
    world.clock.advance(60)
    await alice.send(text)
    first, second = reports(alice)
    assert first == second
    assert (await world.stores.ledger.head(ALICE)).position == 1


@pytest.mark.parametrize(
    "text",
    [
        message(1, "<composing xmlns='http://jabber.org/protocol/chatstates'/>", body=""),
        message(1, "<no-store xmlns='urn:xmpp:hints'/>"),
        message(1).replace("chat", "headline"),
    ],
    ids=["typing", "no-store", "headline"],
)
async def test_what_is_not_kept_is_not_reported(world: World, alice: WorldClient, text: str) -> None:
    await world.online("bob@localhost/b")
    await alice.send(text)
    assert alice.take() == []


async def test_what_is_refused_is_not_reported(alice: WorldClient) -> None:
    await alice.send(message(1).replace("bob@localhost", "nobody@nowhere.test"))
    assert [each.get("type") for each in alice.take("message")] == ["error"]


async def test_reports_are_for_the_session_that_asks(world: World, alice: WorldClient) -> None:
    other = await world.online("alice@localhost/other")
    await other.send(message(1))
    assert other.take("message") == []
    alice.take()
    assert (await alice.request(ENABLE)).get("type") == "result"
    assert (await alice.request(DISABLE)).get("type") == "result"
    await alice.send(message(2))
    assert alice.take() == []


async def test_they_are_asked_for_together_with_the_session(world: World) -> None:
    await world.register("bob@localhost")
    inline = (EnableReports().encode(), Element("enable", "urn:other"))
    client = await world.login("alice@localhost/a", inline=inline)
    await client.send(message(1))
    assert len(reports(client)) == 1


async def test_a_resumed_session_gets_what_it_missed(world: World, alice: WorldClient) -> None:
    await alice.manage()
    alice.push(message(1))
    await alice.lose()
    again = await world.resume(alice)
    assert isinstance(again, WorldClient)
    assert [report.id for report in reports(again)] == ["m1"]
    await again.send(message(2))
    assert [report.id for report in reports(again)] == ["m2"]


async def test_a_report_is_no_entry_and_not_copied(world: World, alice: WorldClient) -> None:
    other = await world.online("alice@localhost/other")
    await other.request("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    alice.take()
    other.take()
    await alice.send(message(1))
    assert len(reports(alice)) == 1
    [copy] = other.take("message")
    assert [child.name for child in copy.children] == ["sent"]
    assert (await world.stores.ledger.head(ALICE)).position == 1
