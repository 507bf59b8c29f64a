"""Files over HTTP: slots, what they are bound to, ranges, and what nobody gets to see or to run."""

from __future__ import annotations

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from structlog.testing import capture_logs
from yarl import URL

from tests.gateways.test_http import Served, serving
from tests.harness.clock import VirtualClock
from tests.harness.world import World, WorldClient
from tidings.adapters.directory.blobs import DirectoryBlobs
from tidings.app.uploads import UPLOADS
from tidings.base.jid import Jid
from tidings.features.upload import Uploads
from tidings.features.upload.options import UploadOptions
from tidings.features.upload.slots import PATH
from tidings.gateways.file_door import OFFSET, FileDoor
from tidings.ports.files import FileState
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.http_upload import Slot, SlotRequest

ALICE = Jid("alice@localhost")
OCTETS = bytes(range(256)) * 1_000
ORIGIN = {"Origin": "https://chat.example"}


class Stand:
    """A server in memory whose files come through a real port, and two of its people."""

    def __init__(self, world: World, served: Served, alice: WorldClient, bob: WorldClient) -> None:
        self.world = world
        self.served = served
        self.alice = alice
        self.bob = bob
        self.clock: VirtualClock = world.clock
        uploads = world.server.hosts["upload.localhost"].feature(Uploads)
        assert uploads is not None
        self.blobs = uploads.blobs

    async def slot(
        self,
        name: str = "picture.png",
        size: int = len(OCTETS),
        content_type: str = "image/png",
        *,
        who: WorldClient | None = None,
        inside: str = "",
    ) -> Slot:
        request = SlotRequest(name, size, content_type).encode()
        text = request.to_bytes().decode()
        if inside:
            text = text.replace("/>", f">{inside}</request>")
        answer = await (who or self.alice).request(
            f"<iq type='get' id='slot' to='upload.localhost'>{text}</iq>"
        )
        found = answer.find("slot", ns.HTTP_UPLOAD)
        assert found is not None, answer
        return Slot.decode(found)

    async def ask(self, method: str, url: str, **details):
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return await self.served.octets(method, path, **details)

    async def put(self, slot: Slot, octets: bytes = OCTETS, **headers: str):
        return await self.ask("PUT", slot.put, data=octets, headers={"Content-Type": "image/png"} | headers)

    async def uploaded(self, octets: bytes = OCTETS, **more) -> Slot:
        slot = await self.slot(size=len(octets), **more)
        status, _, text = await self.put(slot, octets)
        assert (status, text) == (201, b"The file is there.\n")
        return slot

    async def record(self, slot: Slot):
        return await self.world.stores.files.get(id_of(slot))


def id_of(slot: Slot) -> str:
    return urlsplit(slot.get).path.split("/")[2]


class Browser(Served):
    """One that wants octets, and its addresses as they are written."""

    async def octets(self, method: str, path: str, **details):
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.client.request(method, url, **details) as response:
            return response.status, response.headers, await response.read()


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    blobs, options = DirectoryBlobs(tmp_path), {"upload": UploadOptions(max_file_bytes=1_000_000)}
    world = await World.start(services=[UPLOADS], options=options, blobs=blobs)
    alice, bob = await world.online("alice@localhost/phone"), await world.online("bob@localhost/phone")
    async with serving(body_seconds=1) as served:
        del served.gateway._routes["/files"]  # that of other tests
        FileDoor(served.gateway, world.server.hosts, world.stores.files, world.clock)
        yield Stand(world, Browser(served.gateway, served.port, served.client), alice, bob)
    await world.stop()
    await blobs.close()


async def test_a_file_is_uploaded_and_had_by_everybody_who_knows_its_address(stand: Stand) -> None:
    slot = await stand.slot("très cool.png")
    assert slot.get.endswith("/tr%C3%A8s%20cool.png")
    assert (await stand.ask("GET", slot.get))[0] == 404
    status, headers, _ = await stand.put(slot)
    digest = hashlib.sha256(OCTETS).hexdigest()
    assert (status, headers["ETag"]) == (201, f'"{digest}"')
    assert headers["Location"] == urlsplit(slot.get).path
    status, headers, octets = await stand.ask("GET", slot.get)
    assert (status, octets) == (200, OCTETS)
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Length"] == str(len(OCTETS))
    assert headers["ETag"] == f'"{digest}"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
    assert headers["Content-Disposition"] == "inline; filename*=UTF-8''tr%C3%A8s%20cool.png"
    record = await stand.record(slot)
    assert record is not None
    assert (record.state, record.owner, record.size) == (FileState.COMPLETE, ALICE, len(OCTETS))


async def test_head_tells_what_get_would(stand: Stand) -> None:
    slot = await stand.uploaded()
    _, given, _ = await stand.ask("GET", slot.get)
    status, told, octets = await stand.ask("HEAD", slot.get)
    assert (status, octets) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Content-Security-Policy"):
        assert told[name] == given[name]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=255990-", 255_990, 255_999),
        ("bytes=-10", 255_990, 255_999),
        ("bytes=255990-999999999", 255_990, 255_999),
        ("bytes=0-", None, None),
        ("bytes=-999999999", None, None),
        ("bytes=5-2", None, None),
        ("bytes=-", None, None),
        ("bytes=0-1,5-6", None, None),
        ("lines=1-2", None, None),
        ("bytes=0-0x", None, None),
    ],
)
async def test_a_part_is_given(stand: Stand, asked: str, first: int | None, last: int | None) -> None:
    slot = await stand.uploaded()
    status, headers, octets = await stand.ask("GET", slot.get, headers={"Range": asked})
    if first is None or last is None:
        assert (status, octets) == (200, OCTETS)
    else:
        assert (status, octets) == (206, OCTETS[first : last + 1])
        assert headers["Content-Range"] == f"bytes {first}-{last}/256000"


async def test_a_part_that_is_not_there_is_refused(stand: Stand) -> None:
    slot = await stand.uploaded()
    for asked in ("bytes=256000-", "bytes=-0"):
        status, headers, _ = await stand.ask("GET", slot.get, headers={"Range": asked})
        assert (status, headers["Content-Range"]) == (416, "bytes */256000")


async def test_who_has_it_already_is_told(stand: Stand) -> None:
    slot = await stand.uploaded()
    _, headers, _ = await stand.ask("HEAD", slot.get)
    tag = headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, _, octets = await stand.ask("GET", slot.get, headers={"If-None-Match": given})
        assert (status, octets) == (304, b"")
    assert (await stand.ask("GET", slot.get, headers={"If-None-Match": '"other"'}))[0] == 200
    part = {"Range": "bytes=0-9"}
    assert (await stand.ask("GET", slot.get, headers=part | {"If-Range": tag}))[0] == 206
    assert (await stand.ask("GET", slot.get, headers=part | {"If-Range": '"other"'}))[0] == 200


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "inline"),
        ("image/jpeg", "inline"),
        ("audio/ogg; codecs=opus", "inline"),
        ("video/mp4", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("image/svg+xml", "attachment"),
        ("IMAGE/SVG+XML", "attachment"),
        ("text/html", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("audio/x+xml", "attachment"),
        ("application/pdf", "attachment"),
        ("text/javascript", "attachment"),
        ("", "attachment"),
    ],
)
async def test_what_browsers_would_run_is_for_saving(stand: Stand, content_type: str, kind: str) -> None:
    slot = await stand.slot("x.html", 9, content_type)
    sent = {"Content-Type": content_type} if content_type else {}
    assert (await stand.ask("PUT", slot.put, data=b"<script/>", headers=sent))[0] == 201
    _, headers, _ = await stand.ask("GET", slot.get)
    assert headers["Content-Type"] == (content_type or "application/octet-stream")
    assert headers["Content-Disposition"] == f"{kind}; filename*=UTF-8''x.html"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]


async def test_a_slot_takes_one_file(stand: Stand) -> None:
    slot = await stand.uploaded()
    status, _, text = await stand.put(slot, OCTETS[::-1])
    assert (status, text) == (409, b"The file is there already: a slot takes one file.\n")
    assert (await stand.ask("GET", slot.get))[2] == OCTETS


@pytest.mark.parametrize("slot_text", ["", "0", "0.", "9.x", "-1.x", "x" * 1000, "%C3%A9", "0.%FF", "%00"])
async def test_a_slot_is_not_guessed(stand: Stand, slot_text: str) -> None:
    slot = await stand.slot()
    url = f"{slot.get}?slot={slot_text}"
    refused = 404 if "%00" in url else 403
    assert (await stand.ask("PUT", url, data=OCTETS))[0] == refused
    assert (await stand.ask("PUT", slot.get, data=OCTETS))[0] == 403
    assert (await stand.ask("HEAD", url))[0] == refused
    assert await stand.blobs.size(id_of(slot)) is None


async def test_a_slot_is_for_its_own_file(stand: Stand) -> None:
    mine, others = await stand.slot(), await stand.slot(who=stand.bob)
    stolen = f"{others.get}?{urlsplit(mine.put).query}"
    assert (await stand.ask("PUT", stolen, data=OCTETS))[0] == 403
    longer = mine.put.replace("slot=0.", "slot=99999999999.")
    assert longer != mine.put
    assert (await stand.ask("PUT", longer, data=OCTETS))[0] == 403
    renamed = mine.put.replace("picture.png", "picture.html")
    assert (await stand.ask("PUT", renamed, data=OCTETS))[0] == 404


@pytest.mark.parametrize("octets", [b"", OCTETS[:-1], OCTETS + b"x"])
async def test_another_size_is_refused(stand: Stand, octets: bytes) -> None:
    slot = await stand.slot()
    status, headers, text = await stand.put(slot, octets)
    assert status == (413 if len(octets) > len(OCTETS) else 400)
    assert text == f"The slot is for {len(OCTETS)} octets, not {len(octets)}.\n".encode()
    assert headers["Connection"] == "close"
    assert await stand.blobs.size(id_of(slot)) is None
    assert (await stand.put(slot))[0] == 201


async def test_ten_gigabytes_are_refused_before_they_come(stand: Stand) -> None:
    slot = await stand.slot()
    path = slot.put.removeprefix("https://localhost")
    for more in ("", "Content-Range: bytes 0-9999999999/10000000000\r\n", "Expect: 100-continue\r\n"):
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: 10000000000\r\n\r\n"
        answer = await stand.served.raw(head.encode())
        assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 ")), answer
        assert b"\r\nConnection: close\r\n" in answer
    assert await stand.blobs.offset(id_of(slot)) == 0
    assert (await stand.put(slot))[0] == 201


async def test_a_body_without_a_length_is_refused(stand: Stand) -> None:
    slot = await stand.slot()

    async def pieces() -> AsyncIterator[bytes]:
        yield OCTETS

    assert (await stand.ask("PUT", slot.put, data=pieces()))[0] == 411
    packed = {"Content-Encoding": "gzip"}
    assert (await stand.ask("PUT", slot.put, data=OCTETS, headers=packed))[0] == 415


async def test_another_type_is_refused(stand: Stand) -> None:
    slot = await stand.slot()
    assert (await stand.put(slot, **{"Content-Type": "text/html"}))[0] == 415
    assert (await stand.put(slot, **{"Content-Type": "IMAGE/PNG; x=y"}))[0] == 201


async def test_who_stops_in_the_midst_leaves_nothing_and_may_begin_anew(stand: Stand) -> None:
    slot = await stand.slot()
    path = slot.put.removeprefix("https://localhost")
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 256000\r\n\r\n"
    answer = await stand.served.raw(head.encode() + OCTETS[:1_000])  # and then it is silent
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert await stand.blobs.offset(id_of(slot)) == 0
    assert (await stand.put(slot))[0] == 201


async def test_an_upload_goes_on_where_it_has_stopped(stand: Stand) -> None:
    slot = await stand.slot()
    status, headers, _ = await stand.put(slot, OCTETS[:1_000], **{"Content-Range": "bytes 0-999/256000"})
    assert (status, headers[OFFSET]) == (202, "1000")
    status, headers, _ = await stand.ask("HEAD", slot.put)
    assert (status, headers[OFFSET]) == (204, "1000")
    for wrong in (
        "bytes 0-254999/256000",
        "bytes 1001-256000/256001",
        "bytes 5-1/256000",
        "bytes */256000",
        "x",
    ):
        assert (await stand.put(slot, OCTETS[1_000:], **{"Content-Range": wrong}))[0] in {400, 409}
    status, headers, _ = await stand.put(slot, OCTETS[:1_000], **{"Content-Range": "bytes 0-999/256000"})
    assert (status, headers[OFFSET]) == (409, "1000")
    await stand.world.advance(1_000)  # longer than a slot waits
    status, _, _ = await stand.put(slot, OCTETS[1_000:], **{"Content-Range": "bytes 1000-255999/256000"})
    assert status == 201
    assert (await stand.ask("GET", slot.get))[2] == OCTETS
    record = await stand.record(slot)
    assert record is not None
    assert record.sha256 == hashlib.sha256(OCTETS).digest()


async def test_two_at_once_do_not_mix(stand: Stand) -> None:
    slot = await stand.slot()
    async with stand.blobs.write(id_of(slot)):
        assert (await stand.put(slot))[0] == 409
    assert (await stand.put(slot))[0] == 201


async def test_a_slot_waits_for_a_time_only(stand: Stand) -> None:
    slot = await stand.slot()
    await stand.world.advance(301)
    assert (await stand.put(slot))[0] == 404
    await stand.world.advance(60)
    assert await stand.record(slot) is None


async def test_a_file_goes_when_its_time_has_come(stand: Stand) -> None:
    slot = await stand.uploaded()
    await stand.world.advance(90 * 86_400 - 10)
    assert (await stand.ask("GET", slot.get))[0] == 200
    await stand.world.advance(10)
    assert (await stand.ask("GET", slot.get))[0] == 404
    await stand.world.advance(60)
    assert await stand.blobs.size(id_of(slot)) is None
    assert (await stand.world.stores.files.usage(ALICE)).files == 0


async def test_an_ephemeral_file_goes_when_it_was_said(stand: Stand) -> None:
    end = "2026-01-01T01:00:00Z"
    inside = f"<ephemeral xmlns='{ns.HTTP_UPLOAD_PURPOSE}' expire-before='{end}'/>"
    slot = await stand.uploaded(inside=inside)
    await stand.world.advance(3_590)
    assert (await stand.ask("GET", slot.get))[0] == 200
    await stand.world.advance(10)
    assert (await stand.ask("GET", slot.get))[0] == 404


async def test_files_of_a_removed_account_are_gone(stand: Stand) -> None:
    slot = await stand.uploaded()
    await stand.world.stores.accounts.remove(ALICE)
    assert (await stand.ask("GET", slot.get))[0] == 404
    await stand.world.advance(60)
    assert await stand.blobs.size(id_of(slot)) is None


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        ".",
        "..\\..\\boot.ini",
        "a/b.png",
        "%2e%2e%2f",
        "a%00b.png",
        "x?slot=1#y",
        "\"; rm -rf '\r\n.png",
        "\u202egnp.exe",
        "\U0001f4ec",
    ],
)
async def test_a_name_names_no_path(stand: Stand, name: str) -> None:
    escaped = name.replace("\r", "&#13;").replace("\n", "&#10;").replace('"', "&quot;").replace("'", "&apos;")
    text = f"<request xmlns='{ns.HTTP_UPLOAD}' filename='{escaped}' size='5'/>"
    answer = await stand.alice.request(f"<iq type='get' id='s' to='upload.localhost'>{text}</iq>")
    slot = Slot.decode(answer.find("slot", ns.HTTP_UPLOAD))
    last = unquote(urlsplit(slot.get).path.split("/", 3)[3])
    assert not set(last) & set("/\\\0\r\n")
    assert last not in {".", ".."}
    assert (await stand.ask("PUT", slot.put, data=b"12345"))[0] == 201
    status, headers, octets = await stand.ask("GET", slot.get)
    assert (status, octets) == (200, b"12345")
    assert headers["Content-Disposition"].isprintable()


@pytest.mark.parametrize(
    "path",
    [
        "/files",
        "/files/",
        "/files/x",
        "/files/../../etc/passwd",
        "/files/%2e%2e/x",
        "/files/aaaaaaaaaaaaaaaaaaaaaa/x",
        "/files/aaaaaaaaaaaaaaaaaaaaaa%00/x",
        "/files/ID/other.png",
        "/files/ID",
        "/files/ID/picture.png/",
    ],
)
async def test_nothing_else_is_a_file(stand: Stand, path: str) -> None:
    slot = await stand.uploaded()
    for method in ("GET", "HEAD", "PUT"):
        assert (await stand.ask(method, path.replace("ID", id_of(slot))))[0] == 404
    assert (await stand.ask("DELETE", slot.get))[0] == 405
    assert (await stand.ask("POST", slot.get))[0] == 405


async def test_pages_of_other_origins_may_upload(stand: Stand) -> None:
    slot = await stand.slot()
    preflight = {"Access-Control-Request-Method": "PUT"}
    status, headers, _ = await stand.ask("OPTIONS", slot.put, headers=ORIGIN | preflight)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, PUT"
    assert "Content-Range" in headers["Access-Control-Allow-Headers"]
    await stand.put(slot)
    _, headers, _ = await stand.ask("GET", slot.get, headers=ORIGIN)
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert OFFSET in headers["Access-Control-Expose-Headers"]


async def test_a_full_disk_is_answered_and_logged(stand: Stand) -> None:
    slot = await stand.slot()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as full as a disk gets in a test
    try:
        with capture_logs() as logs:
            status, _, text = await stand.put(slot)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (status, text) == (507, b"The server has no room for this file; try later.\n")
    [told] = [each for each in logs if each["event"] == "no_space_for_files"]
    assert told["log_level"] == "error"
    assert await stand.blobs.offset(id_of(slot)) == 0
    assert (await stand.put(slot))[0] == 201


async def test_many_are_uploaded_at_once(stand: Stand) -> None:
    slots = [await stand.slot(f"{number}.png", 1_000 + number) for number in range(20)]
    done = await asyncio.gather(
        *(stand.put(slot, OCTETS[: 1_000 + number]) for number, slot in enumerate(slots))
    )
    assert [status for status, _, _ in done] == [201] * 20
    for number, slot in enumerate(slots):
        assert (await stand.ask("GET", slot.get))[2] == OCTETS[: 1_000 + number]


def test_the_path_is_that_of_the_door() -> None:
    assert PATH == "/files"
