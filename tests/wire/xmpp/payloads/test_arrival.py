"""What an archive tells with each message."""

from __future__ import annotations

import pytest

from tidings.base.jid import Jid
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import (
    forwarded,
    kept,
    stamp_of,
    stamped,
    time_of,
    with_archive_id,
    without_forgeries,
)
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded, stanza_of
from tidings.wire.xmpp.payloads.stanza_ids import stanza_id_of
from tidings.wire.xmpp.stanza import Stanza

OMAR = Jid("omar@clinic.example")
TIME = 1_773_044_042_551_300


def message(inside: str = "<body>Hi</body>") -> Stanza:
    raw = f"<message type='chat' id='m' from='nina@clinic.example/x' to='{OMAR}'>{inside}</message>"
    return stanza_of(decode(raw.encode(), ns.CLIENT))


def test_a_live_message_carries_its_id_and_the_servers_time() -> None:
    live = stamped(message(), OMAR, "e1-7", TIME, is_live=True)
    assert stanza_id_of(live, OMAR) == "e1-7"
    assert time_of(live) == "2026-03-09T08:14:02.551300Z"
    assert not live.has(ns.DELAY, "delay")
    element = decode(live.to_bytes(), ns.CLIENT)
    assert [child.name for child in element.children] == ["body", "stanza-id", "time"]


def test_a_stored_message_carries_a_delay_instead() -> None:
    stored = stamped(message(), OMAR, "e1-7", TIME, is_live=False)
    delay = stored.decode(ns.DELAY, "delay")
    assert delay is not None
    assert (delay.get("from"), delay.get("stamp")) == ("clinic.example", stamp_of(TIME))
    assert time_of(stored) is None


def test_it_is_the_same_whether_the_message_was_written_before_or_not() -> None:
    fresh, written = message(), message()
    written.to_bytes()
    other = Jid("omar@clinic.example/desk")
    for to in (None, other):
        assert stamped(fresh, OMAR, "e-1", TIME, is_live=True).to_bytes(to) == stamped(
            written, OMAR, "e-1", TIME, is_live=True
        ).to_bytes(to)


def test_an_id_of_another_making_is_escaped() -> None:
    live = stamped(message(), OMAR, "a<'\"&b", TIME, is_live=True)
    assert stanza_id_of(stanza_of(decode(live.to_bytes(), ns.CLIENT)), OMAR) == "a<'\"&b"


def test_what_was_stored_is_read_again() -> None:
    stanza = message("<body>Grüße &amp; mehr</body><thread>t</thread>")
    again = kept(stanza.to_bytes())
    assert again.to_bytes() == stanza.to_bytes()
    assert again.sender == stanza.sender


def test_bytes_get_their_id_without_being_read() -> None:
    raw = with_archive_id(message().to_bytes(), OMAR, "e1-7")
    assert stanza_id_of(kept(raw), OMAR) == "e1-7"
    assert stanza_id_of(kept(with_archive_id(b"<message/>", OMAR, "e1-7")), OMAR) == "e1-7"


@pytest.mark.parametrize("id_", ["e1-7", "a<'\"&é"])
@pytest.mark.parametrize(
    "body",
    [
        message("<body>Grüße &amp; mehr</body>").to_bytes(),
        message("").to_bytes(),
        b"<message/>",
        b"<message></message>",
        b'<message id="/>"/>',
    ],
)
def test_what_is_forwarded_is_written_in_one_piece(body: bytes, id_: str) -> None:
    raw = forwarded(body, OMAR, id_, TIME)
    assert raw == Forwarded(with_archive_id(body, OMAR, id_), Delay(TIME)).to_bytes()
    sent = forwarded(body, OMAR, id_, TIME, sender=b"&quot;nina&quot;@clinic.example")
    delay = decode(sent, "").find("delay", ns.DELAY)
    assert delay is not None
    assert delay.get("from") == '"nina"@clinic.example'


def test_only_the_archive_says_what_it_says() -> None:
    forged = (
        f"<body>Hi</body><time xmlns='{ns.TIDINGS_TIME}' stamp='1999-01-01T00:00:00Z'/>"
        f"<delay xmlns='{ns.DELAY}' from='{OMAR}' stamp='1999-01-01T00:00:00Z'/>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='{OMAR}' id='1'/>"
    )
    theirs = (
        f"<delay xmlns='{ns.DELAY}' from='nina@clinic.example/x' stamp='2026-01-01T00:00:00Z'/>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='room@muc.example' id='2'/>"
    )
    clean = without_forgeries(message(forged + theirs), OMAR)
    assert sorted(child.name for child in clean.children) == ["body", "delay", "stanza-id"]
    assert clean.decode(ns.DELAY, "delay").get("from") == "nina@clinic.example/x"
    assert stanza_id_of(clean, OMAR) is None
    plain = message()
    assert without_forgeries(plain, OMAR) is plain


@pytest.mark.parametrize("author", [OMAR, "clinic.example", "CLINIC.example", "Omar@Clinic.Example"])
@pytest.mark.parametrize("tag", [f"delay xmlns='{ns.DELAY}'", f"x xmlns='{ns.LEGACY_DELAY}'"])
def test_nobody_stamps_in_the_name_of_the_server_however_he_spells_it(author: str, tag: str) -> None:
    forged = message(f"<body>Hi</body><{tag} from='{author}' stamp='1999-01-01T00:00:00Z'/>")
    assert [child.name for child in without_forgeries(forged, OMAR).children] == ["body"]


@pytest.mark.parametrize(
    "author", ["", "from='@'", "from='clinic.example.org'", "from='omar@clinic.example/x'"]
)
def test_a_time_in_the_name_of_others_stays(author: str) -> None:
    told = message(f"<delay xmlns='{ns.DELAY}' {author} stamp='1999-01-01T00:00:00Z'/>")
    assert without_forgeries(told, OMAR) is told
