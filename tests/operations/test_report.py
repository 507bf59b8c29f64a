"""Reports of those who block somebody, as administrators see them."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.reporting import Reporting, ReportingOptions
from tidings.kernel.current import Current
from tidings.kernel.events import ContactsReported
from tidings.kernel.turns import Turns
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.reporting import Report

SPAM = "urn:xmpp:reporting:spam"
DAY = 86_400


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(options={"reporting": ReportingOptions(per_day=2, keep_days=30)})
    yield world
    await world.stop()


def report(reason=SPAM, more=""):
    return f"<report xmlns='{ns.REPORTING}' reason='{reason}'>{more}</report>"


async def block(client, *items):
    told = "".join(f"<item jid='{jid}'>{report}</item>" for jid, report in items)
    return await client.request(f"<iq type='set' id='b'><block xmlns='{ns.BLOCKING}'>{told}</block></iq>")


async def reports(world, **arguments):
    return await CATALOGUE.call(world.context, "report", "list", {"domain": "localhost", **arguments})


async def test_what_somebody_says_of_whom_he_blocks_is_listed(world):
    juliet = await world.login("juliet@localhost/balcony")
    words = "<text xml:lang='en'> Never came trouble\n to my house. </text><text xml:lang='it'>Mai!</text>"
    which = (
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='juliet@localhost' id='1-7'/>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='@' id='1-8'/>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='juliet@localhost'/>"
    )
    await block(juliet, ("romeo@far.test", report(more=words + which + "<third-party/>")))
    page = await reports(world)
    assert page.next is None
    (found,) = page.items
    assert (found.by, found.about, found.reason) == ("juliet@localhost", "romeo@far.test", SPAM)
    assert found.text == "Never came trouble\n to my house.\nMai!"
    assert [(each.by, each.id) for each in found.messages] == [("juliet@localhost", "1-7")]
    assert found.may_go_to == ("third-party",)
    assert found.time.timestamp() == pytest.approx(world.clock.now())


async def test_reports_come_in_pages_in_their_order_and_go_one_by_one(world):
    juliet = await world.login("juliet@localhost/balcony")
    await block(juliet, ("a@far.test", report()))
    await world.advance(1)
    await block(juliet, ("b@far.test", report("urn:xmpp:reporting:abuse")))
    first = await reports(world, limit=1)
    second = await reports(world, limit=1, after=first.next)
    assert [each.about for each in first.items + second.items] == ["a@far.test", "b@far.test"]
    assert second.next is None
    gone = {"domain": "localhost", "id": first.items[0].id}
    await CATALOGUE.call(world.context, "report", "remove", gone)
    assert [each.about for each in (await reports(world)).items] == ["b@far.test"]
    with pytest.raises(OperationError) as refused:
        await CATALOGUE.call(world.context, "report", "remove", gone)
    assert refused.value.code == "not-found"


async def test_beyond_the_share_the_block_holds_and_no_report_is_kept(world):
    juliet = await world.login("juliet@localhost/balcony")
    people = [f"{name}@far.test" for name in "abc"]
    answer = await block(juliet, *((jid, report()) for jid in people))
    assert answer.get("type") == "result"
    assert [each.about for each in (await reports(world)).items] == people[:2]
    answer = await juliet.request(f"<iq type='get' id='l'><blocklist xmlns='{ns.BLOCKING}'/></iq>")
    assert [item.get("jid") for item in answer.find("blocklist", ns.BLOCKING).find_all("item")] == people
    await world.advance(DAY)
    await block(juliet, ("d@far.test", report()))
    assert [each.about for each in (await reports(world)).items] == [*people[:2], "d@far.test"]


async def test_long_words_and_many_messages_are_cut(world):
    juliet = await world.login("juliet@localhost/balcony")
    host = f"{'h' * 60}.{'o' * 60}.test/"
    archive, quote = f"j@{host}{'&quot;' * 800}", "&quot;"
    named = [(archive, quote * 129), (f"j@{host}{quote * 1_000}", "1-7")]
    named += [(archive, quote * 126 + f"{number}") for number in range(10, 35)]
    which = "".join(f"<stanza-id xmlns='{ns.STANZA_ID}' by='{by}' id='{id_}'/>" for by, id_ in named)
    text = f"<text>{'😀' * 3_000}</text>{which}"
    answer = await block(juliet, (f"{'é' * 500}@{host}{'é' * 500}", report("x" * 255, more=text)))
    assert answer.get("type") == "result"
    (found,) = (await reports(world)).items
    assert (found.text, len(found.messages)) == ("😀" * 2_000, 20)


@pytest.mark.parametrize("reason", ["", "x" * 256])
async def test_what_has_no_reason_is_no_report(world, reason):
    juliet = await world.login("juliet@localhost/balcony")
    assert (await block(juliet, ("romeo@far.test", report(reason)))).get("type") == "result"
    assert (await reports(world)).items == ()


async def test_old_reports_are_forgotten(world):
    juliet = await world.login("juliet@localhost/balcony")
    await block(juliet, ("a@far.test", report()))
    await world.advance(29 * DAY)
    await block(juliet, ("b@far.test", report()))
    await world.advance(2 * DAY)
    assert [each.about for each in (await reports(world)).items] == ["b@far.test"]


class Down:
    """Documents that cannot be reached."""

    async def put(self, *_: object, **__: object) -> str:
        raise BackendError("the database is down")


async def test_a_database_that_does_not_answer_keeps_nobody_from_blocking(world):
    juliet = await world.login("juliet@localhost/balcony")
    host = world.server.hosts["localhost"]
    turns = Turns(world.clock, world.server.supervisor)
    feature = Reporting(host, world.clock, Down(), turns, Current(ReportingOptions()))
    event = ContactsReported(juliet.session.account, ((Jid("a@far.test"), Report(SPAM)),))
    await feature.keep(event)
