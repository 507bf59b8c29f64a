"""Slots for files (XEP-0363): who gets them, for what, how many, and what is said to everybody else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.app.uploads import UPLOADS
from tidings.base.jid import Jid
from tidings.features.upload.options import UploadOptions
from tidings.ports.files import Usage
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.disco import Info, Items
from tidings.wire.xmpp.payloads.http_upload import Slot

OPTIONS = UploadOptions(
    max_file_bytes=1_000, account_files=3, account_bytes=2_000, domain_bytes=2_500, slots_per_minute=5
)
ALICE = Jid("alice@localhost")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(services=[UPLOADS], options={"upload": OPTIONS})
    yield world
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    return await world.online("alice@localhost/phone")


async def ask(
    client: WorldClient, attributes: str, inside: str = "", to: str = "upload.localhost"
) -> Element:
    request = f"<request xmlns='{ns.HTTP_UPLOAD}' {attributes}>{inside}</request>"
    return await client.request(f"<iq type='get' id='slot' to='{to}'>{request}</iq>")


async def slot(client: WorldClient, size: int = 10) -> Slot:
    answer = await ask(client, f"filename='a.png' size='{size}' content-type='image/png'")
    found = answer.find("slot", ns.HTTP_UPLOAD)
    assert found is not None, answer
    return Slot.decode(found)


def condition(answer: Element) -> tuple[str, str, str]:
    error = answer.find("error")
    assert error is not None, answer
    return error.children[0].name, error.get("type") or "", error.text_of("text", ns.STANZA_ERRORS) or ""


async def test_the_service_is_found_and_tells_the_largest_file(alice: WorldClient) -> None:
    found = await alice.request(
        f"<iq type='get' id='i' to='localhost'><query xmlns='{ns.DISCO_ITEMS}'/></iq>"
    )
    items = found.find("query", ns.DISCO_ITEMS)
    assert items is not None
    assert "upload.localhost" in [each.jid.text for each in Items.decode(items).items]
    told = await alice.request(
        f"<iq type='get' id='d' to='upload.localhost'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    )
    query = told.find("query", ns.DISCO_INFO)
    assert query is not None
    info = Info.decode(query)
    assert ("store", "file") in [(each.category, each.kind) for each in info.identities]
    assert {ns.HTTP_UPLOAD, f"{ns.HTTP_UPLOAD_PURPOSE}#message"} <= set(info.features)
    assert [form.text("max-file-size") for form in info.forms if form.form_type == ns.HTTP_UPLOAD] == ["1000"]


async def test_a_slot_has_two_addresses_below_the_public_one(alice: WorldClient) -> None:
    found = await slot(alice)
    assert found.get.startswith("https://localhost/files/")
    assert found.get.endswith("/a.png")
    assert found.put.startswith(f"{found.get}?slot=")
    assert await slot(alice) != found


async def test_a_file_that_is_too_large_is_refused(alice: WorldClient, world: World) -> None:
    for size in (1_001, 10_000_000_000, 9_223_372_036_854_775_807):
        answer = await ask(alice, f"filename='film.mkv' size='{size}'")
        text = "File too large. The maximum file size is 1000 bytes"
        assert condition(answer) == ("not-acceptable", "modify", text)
        error = answer.find("error")
        assert error is not None
        told = error.find("file-too-large", ns.HTTP_UPLOAD)
        assert told is not None
        assert told.text_of("max-file-size") == "1000"
    assert await world.stores.files.usage(ALICE) == Usage()


@pytest.mark.parametrize(
    "attributes",
    [
        "size='5'",
        "filename='a'",
        "filename='' size='5'",
        "filename='a' size='0'",
        "filename='a' size='-1'",
        "filename='a' size='1.5'",
        "filename='a' size='99999999999999999999999'",
        "filename='a' size='x'",
        f"filename='{'ü' * 128}' size='5'",
        f"filename='{'x' * 5000}' size='5'",
        "filename='a' size='5' content-type='image'",
        "filename='a' size='5' content-type='image/png&#10;X: y'",
        "filename='a' size='5' content-type='image/png; x=&#233;'",
        f"filename='a' size='5' content-type='{'x' * 300}/y'",
        f"filename='a' size='5' content-type='a/b{';' * 240}'",
    ],
)
async def test_nonsense_is_refused(alice: WorldClient, attributes: str) -> None:
    assert condition(await ask(alice, attributes))[:2] == ("bad-request", "modify")


async def test_more_than_somebody_may_have_is_refused_until_there_is_room(
    alice: WorldClient, world: World
) -> None:
    for _ in range(2):
        await slot(alice, 900)
    answer = await ask(alice, "filename='a' size='201'")
    text = "You have as many files as there may be, or as large ones"
    assert condition(answer) == ("resource-constraint", "wait", text)
    error = answer.find("error")
    assert error is not None
    retry = error.find("retry", ns.HTTP_UPLOAD)
    assert retry is not None
    assert retry.get("stamp") == "2026-01-01T00:05:00Z"  # when the slots have run out
    await slot(alice, 200)
    assert condition(await ask(alice, "filename='a' size='1'"))[0] == "resource-constraint"
    await world.advance(361)
    await slot(alice, 900)


async def test_all_of_a_domain_together_have_so_much(alice: WorldClient, world: World) -> None:
    bob = await world.online("bob@localhost/phone")
    other = await world.online("carol@other.test/phone")
    for _ in range(2):
        await slot(alice, 900)
    answer = await ask(bob, "filename='a' size='701'")
    assert condition(answer) == (
        "resource-constraint",
        "wait",
        "All people here together have as many files as there may be, or as large ones",
    )
    await slot(bob, 700)
    there = await ask(other, "filename='a' size='900'", to="upload.other.test")
    assert there.find("slot", ns.HTTP_UPLOAD) is not None


async def test_slots_are_had_at_a_rate(alice: WorldClient, world: World) -> None:
    bob = await world.online("bob@localhost/phone")
    for number in range(5):
        await slot(alice, 1)
        await world.stores.files.discard([each.id for each in await world.stores.files.list(ALICE)])
        assert number < 5
    answer = await ask(alice, "filename='a' size='1'")
    assert condition(answer) == ("resource-constraint", "wait", "You can only upload 5 files in a minute")
    error = answer.find("error")
    assert error is not None
    retry = error.find("retry", ns.HTTP_UPLOAD)
    assert retry is not None
    assert retry.get("stamp") == "2026-01-01T00:00:12Z"
    await slot(bob, 1)
    await world.advance(12)
    await slot(alice, 1)


async def test_only_people_of_the_domain_may_upload(world: World, alice: WorldClient) -> None:
    stranger = await world.online("carol@other.test/phone")
    answer = await ask(stranger, "filename='a' size='1'")
    assert condition(answer)[:2] == ("forbidden", "auth")
    assert await world.stores.files.usage(Jid("other.test")) == Usage()
    assert condition(await ask(alice, "filename='a' size='1'", to="x@upload.localhost"))[0] in {
        "item-not-found",
        "service-unavailable",
    }


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("<message/>", ""),
        ("<ephemeral expire-before='2026-01-01T00:10:00Z'/>", ""),
        ("<ephemeral expire-before='2025-01-01T00:10:00Z'/>", "bad-request"),
        ("<ephemeral expire-before='soon'/>", "bad-request"),
        ("<ephemeral/>", "bad-request"),
        ("<profile/>", "feature-not-implemented"),
        ("<permanent/>", "feature-not-implemented"),
        ("<eternal/>", "bad-request"),
    ],
)
async def test_a_purpose_that_is_not_advertised_is_refused(
    alice: WorldClient, inside: str, told: str
) -> None:
    named = inside.replace("/>", f" xmlns='{ns.HTTP_UPLOAD_PURPOSE}'/>")
    answer = await ask(alice, "filename='a' size='1'", named)
    if told:
        assert condition(answer)[0] == told
    else:
        assert answer.find("slot", ns.HTTP_UPLOAD) is not None


async def test_nobody_reads_messages_at_the_service(alice: WorldClient) -> None:
    for to in ("upload.localhost", "somebody@upload.localhost"):
        await alice.send(f"<message to='{to}' type='chat' id='m'><body>hello</body></message>")
        [answer] = alice.take("message")
        assert condition(answer)[0] == "service-unavailable"


async def test_slots_outlive_a_restart(world: World, alice: WorldClient) -> None:
    before = await slot(alice)
    await world.restart()
    uploads = world.server.hosts["upload.localhost"].features[0]
    (record,) = await world.stores.files.list(ALICE)
    assert await uploads.slots.until(record, before.put.partition("slot=")[2]) is not None  # type: ignore[attr-defined]
