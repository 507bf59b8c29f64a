"""Archive, pure: what a query asks of the ledger, how results are written, and what folds tell."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.archive.folding import fold
from tidings.features.archive.results import ArchiveResultWriter, taken_back
from tidings.features.archive.selection import UnknownId, bounds_of, fin_of, page_query, words_of
from tidings.features.archive.stored import author_of, is_with, root_of
from tidings.messages.shown import shown_body
from tidings.ports.ledger.batch import Direction, EntryKind
from tidings.ports.ledger.reading import Archived, ArchivePage, EntryId, Head, PageQuery
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveBounds, ArchiveQuery, result_of
from tidings.wire.xmpp.payloads.archive_fold import Folded, FoldedProgress, FoldedReactions, ProgressKind
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.payloads.reactions import Reactions
from tidings.wire.xmpp.payloads.result_set import PageRequest
from tidings.wire.xmpp.payloads.retraction import RetractionForm, Tombstone
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId, stanza_id_of
from tidings.wire.xmpp.stanza import Stanza

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
PHONE, DESK = ALICE.with_resource("phone"), BOB.with_resource("desk")
NOON = 1_800_000_000_000_000
HEAD = Head(first=3, position=9, time=NOON, version=0, epochs=(("OLD", 1), ("NEW", 6)))


def message(
    text: str = "Hi", *, kind: str = "chat", sender: Jid = DESK, to: Jid = ALICE, more: str = ""
) -> bytes:
    content = f"<body>{text}</body>{more}".encode()
    return Stanza.build("message", kind=kind, id="m", sender=sender, to=to, content=parts(content)).to_bytes()


def parts(content: bytes) -> list[Element]:
    return decode(b"<x xmlns='jabber:client'>%b</x>" % content, "").children


def entry(
    position: int,
    body: bytes | None = None,
    *,
    kind: EntryKind = EntryKind.MESSAGE,
    direction: Direction = Direction.RECEIVED,
    target: int = 0,
    retracted: int | None = None,
    pointers: tuple[Archived, ...] = (),
) -> Archived:
    return Archived(
        id=EntryId("NEW", position),
        feed=position,
        time=NOON + position,
        peer=BOB,
        direction=direction,
        kind=kind,
        resource="",
        countable=True,
        count=0,
        target=target,
        body=message() if body is None else body,
        retracted=retracted,
        pointers=pointers,
    )


# --- what the ledger is asked


QUERIES = {
    "nothing": (ArchiveQuery(), PageQuery()),
    "a peer, whatever its resource": (ArchiveQuery(peer=DESK), PageQuery(peer=BOB)),
    "times": (ArchiveQuery(start=1, end=2), PageQuery(start=1, end=2)),
    "bounds of the selection": (
        ArchiveQuery(after_id="A-1", before_id="A-2", from_id="A-3", to_id="A-4"),
        PageQuery(
            after_id=EntryId("A", 1),
            before_id=EntryId("A", 2),
            from_id=EntryId("A", 3),
            to_id=EntryId("A", 4),
        ),
    ),
    "the page after": (
        ArchiveQuery(page=PageRequest(7, after="A-1")),
        PageQuery(limit=7, after=EntryId("A", 1)),
    ),
    "the page before": (
        ArchiveQuery(page=PageRequest(7, before="A-1")),
        PageQuery(limit=7, before=EntryId("A", 1), newest=True),
    ),
    "the last page": (ArchiveQuery(page=PageRequest(before="")), PageQuery(newest=True)),
    "the first page, said so": (ArchiveQuery(page=PageRequest(after="")), PageQuery()),
    "too much at once": (ArchiveQuery(page=PageRequest(1_000)), PageQuery(limit=60)),
    "a count alone": (ArchiveQuery(page=PageRequest(0)), PageQuery(limit=0)),
    "ids": (ArchiveQuery(ids=("A-2", "A-1")), PageQuery(ids=(EntryId("A", 2), EntryId("A", 1)))),
    "words": (
        ArchiveQuery(text="The  quick-brown fox the fox"),
        PageQuery(words=("The", "quick-brown", "fox", "the")),
    ),
    "no rooms": (ArchiveQuery(with_groupchat=False), PageQuery(groupchat=False)),
    "flipped, folded, not counted": (
        ArchiveQuery(is_flipped=True, is_folded=True, is_simple=True),
        PageQuery(flipped=True, folded=True, counted=False),
    ),
}


@pytest.mark.parametrize(("query", "expected"), QUERIES.values(), ids=QUERIES)
def test_what_the_ledger_is_asked(query: ArchiveQuery, expected: PageQuery) -> None:
    assert page_query(query, default_page=50, maximum_page=60) == expected


@pytest.mark.parametrize(
    "query",
    [
        ArchiveQuery(page=PageRequest(after="09af3")),
        ArchiveQuery(page=PageRequest(before="-1")),
        ArchiveQuery(before_id="A-x"),
        ArchiveQuery(ids=("A-1", "nonsense")),
    ],
)
def test_ids_of_another_server_are_unknown(query: ArchiveQuery) -> None:
    with pytest.raises(UnknownId):
        page_query(query, default_page=50, maximum_page=50)


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        (ArchiveQuery(page=PageRequest(index=3)), "feature-not-implemented"),
        (ArchiveQuery(node="princely_musings"), "item-not-found"),
        (ArchiveQuery(text=" ".join(map(str, range(33)))), "bad-request"),
    ],
)
def test_what_is_not_offered(query: ArchiveQuery, condition: str) -> None:
    with pytest.raises(StanzaError) as caught:
        page_query(query, default_page=50, maximum_page=50)
    assert caught.value.condition == condition


def test_words_of_any_script() -> None:
    assert words_of(" Grüße,  Привет\t你好 👋 Grüße,") == ("Grüße,", "Привет", "你好", "👋")
    assert words_of("") == ()


# --- the end of a page


def page(
    *entries: Archived, complete: bool = True, total: int | None = None, index: int | None = None
) -> ArchivePage:
    return ArchivePage(entries, complete, total, index, HEAD)


def test_the_end_of_a_flipped_page_is_told_in_the_order_of_time() -> None:
    fin = fin_of(ArchiveQuery(), page(entry(8), entry(7), complete=False, total=9, index=6), limit=2)
    assert (fin.page.first, fin.page.last, fin.page.index, fin.page.count) == ("NEW-7", "NEW-8", 6, 9)
    assert not fin.is_complete


def test_an_empty_page_and_a_count_alone() -> None:
    fin = fin_of(ArchiveQuery(namespace=ns.MAM1), page(total=0, index=0), limit=50)
    assert (fin.page.first, fin.page.index, fin.page.count, fin.is_complete) == (None, None, 0, True)
    assert fin.namespace == ns.MAM1
    assert not fin_of(ArchiveQuery(), page(total=5), limit=0).is_complete
    assert fin_of(ArchiveQuery(), page(total=0), limit=0).is_complete


def test_bounds_tell_which_history_there_is() -> None:
    assert bounds_of(HEAD) == ArchiveBounds("NEW", "OLD-3", "NEW-9")
    assert bounds_of(Head(10, 9, 0, 0, (("A", 1),))) == ArchiveBounds("A")
    assert bounds_of(Head(1, 0, 0, 0, ())) is None


# --- results


def shown(query: ArchiveQuery, each: Archived, body: bytes, folded: bytes = b"") -> Stanza:
    written, make = ArchiveResultWriter(query, archive=ALICE, to=PHONE, mark="x").message(each, body, folded)
    assert make().to_bytes() == written
    return stanza_of(decode(written, ns.CLIENT))


@given(st.sampled_from([ns.MAM1, ns.MAM2]), st.sampled_from([None, "q", "<&'\"> ü"]), st.booleans())
def test_a_result_is_what_any_client_reads(namespace: str, query_id: str | None, is_folded: bool) -> None:
    body = message("1 &lt; 2 ü", sender=BOB.with_resource("<&'\">"))
    folded = Folded(progress=(FoldedProgress(ProgressKind.RECEIVED, 5, BOB),)) if is_folded else None
    query = ArchiveQuery(namespace=namespace, query_id=query_id)
    stanza = shown(query, entry(7), body, b"" if folded is None else folded.to_bytes())
    assert (stanza.sender, stanza.to, stanza.kind, stanza.id) == (ALICE, PHONE, "", "x1")
    result = result_of(stanza)
    assert result is not None
    assert (result.id, result.query_id, result.namespace, result.folded) == (
        "NEW-7",
        query_id,
        namespace,
        folded,
    )
    assert result.forwarded.delay == Delay(NOON + 7, BOB.with_resource("<&'\">"))
    inner = result.forwarded.stanza()
    assert inner is not None
    assert stanza_id_of(inner, ALICE) == "NEW-7"
    plain = inner.replace(drop=lambda namespace, _: namespace == ns.STANZA_ID)
    assert decode(plain.to_bytes(), ns.CLIENT) == decode(body, ns.CLIENT)


def test_a_message_without_content_and_sender_is_written_too() -> None:
    stanza = shown(ArchiveQuery(), entry(7), b'<message type="chat"/>')
    result = result_of(stanza)
    assert result is not None
    assert result.forwarded.delay == Delay(NOON + 7)


# --- tombstones


RETRACT = "<retract xmlns='urn:xmpp:message-retract:1' id='m'/>"
ORIGIN = "<apply-to xmlns='urn:xmpp:fasten:0' id='o'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"
BY_STANZA_ID = (
    "<apply-to xmlns='urn:xmpp:fasten:0' id='THEIRS-1'>"
    "<retract xmlns='urn:esl:message-retract-by-stanza-id:0'/></apply-to>"
)
ORIGINAL = message("secret", more="<origin-id xmlns='urn:xmpp:sid:0' id='o'/>")
STONES = {
    "by message id": (RETRACT, Tombstone(NOON, RetractionForm.BY_MESSAGE_ID, "m")),
    "by origin-id": (ORIGIN, Tombstone(NOON, RetractionForm.BY_ORIGIN_ID, origin_id="o")),
    "by archive id": (
        BY_STANZA_ID,
        Tombstone(NOON, RetractionForm.BY_STANZA_ID, origin_id="o", stanza_id=StanzaId("NEW-7", ALICE)),
    ),
}


@pytest.mark.parametrize(("retraction", "expected"), STONES.values(), ids=STONES)
def test_what_stands_in_place_of_a_retracted_message(retraction: str, expected: Tombstone) -> None:
    by = entry(9, message("gone", more=retraction), kind=EntryKind.RETRACTION, target=7)
    stone = kept(shown_body(entry(7, ORIGINAL, retracted=NOON), ALICE, by) or b"")
    assert (stone.sender, stone.to, stone.kind, stone.id) == (DESK, ALICE, "chat", "m")
    (child,) = stone.children
    assert Tombstone.decode(decode(child.raw, ns.CLIENT)) == expected


def test_a_tombstone_whose_retraction_is_gone() -> None:
    body = shown_body(entry(7, ORIGINAL, retracted=NOON), ALICE)
    assert body is not None
    assert b"secret" not in body
    (child,) = kept(body).children
    assert Tombstone.decode(decode(child.raw, ns.CLIENT)) == Tombstone(NOON)


def test_what_was_erased_is_not_shown_at_all() -> None:
    for retracted in (None, NOON):
        assert shown_body(msgspec.structs.replace(entry(7, retracted=retracted), body=None), ALICE) is None


def test_the_retractions_that_a_page_needs() -> None:
    taken = entry(8, kind=EntryKind.CORRECTION, target=7, retracted=NOON)
    other = entry(6, kind=EntryKind.CORRECTION, target=5)
    assert taken_back(page(entry(4), other, taken, entry(9, retracted=NOON))) == (
        EntryId("NEW", 8),
        EntryId("NEW", 7),
        EntryId("NEW", 9),
    )
    trimmed = entry(8, kind=EntryKind.CORRECTION, target=2, retracted=NOON)
    assert taken_back(page(trimmed)) == (EntryId("NEW", 8),)


# --- folds


def pointer(
    position: int, kind: EntryKind, more: str = "", *, sent: bool = True, target: int = 7
) -> Archived:
    sender, to = (PHONE, BOB) if sent else (DESK, ALICE)
    direction = Direction.SENT if sent else Direction.RECEIVED
    return entry(
        position,
        message(f"text {position}", sender=sender, to=to, more=more),
        kind=kind,
        direction=direction,
        target=target,
    )


def reacting(position: int, *reactions: str, sent: bool = True) -> Archived:
    raw = Reactions("m", reactions).encode().to_bytes().decode()
    return pointer(position, EntryKind.REACTIONS, raw, sent=sent)


def folded(*pointers: Archived, **more: object) -> Folded:
    return fold(entry(7, pointers=pointers), ALICE, **more)  # type: ignore[arg-type]


def test_nothing_has_happened() -> None:
    assert folded() == Folded()


def test_the_newest_correction_counts() -> None:
    first, second = pointer(8, EntryKind.CORRECTION, sent=False), pointer(9, EntryKind.CORRECTION, sent=False)
    correction = folded(first, second).correction
    assert correction is not None
    assert (correction.id, correction.stamp, correction.by, correction.raw) == (
        "NEW-9",
        NOON + 9,
        BOB,
        second.body,
    )


def test_everybody_has_their_newest_reactions() -> None:
    found = folded(reacting(8, "👋"), reacting(9, "🙈", sent=False), reacting(10, "👍", "🎉"))
    assert found.reactions == (
        FoldedReactions(NOON + 9, BOB, ("🙈",)),
        FoldedReactions(NOON + 10, ALICE, ("👍", "🎉")),
    )
    assert folded(reacting(8, "👋"), reacting(9)).reactions == ()


def test_how_far_it_has_come_with_whom() -> None:
    found = folded(
        pointer(8, EntryKind.RECEIPT), pointer(9, EntryKind.RECEIVED), pointer(10, EntryKind.DISPLAYED)
    )
    assert found.progress == (
        FoldedProgress(ProgressKind.RECEIVED, NOON + 8, ALICE),
        FoldedProgress(ProgressKind.DISPLAYED, NOON + 10, ALICE),
    )


def test_who_has_read_a_later_message_has_read_this_one() -> None:
    later = pointer(12, EntryKind.DISPLAYED, target=11)
    assert folded(markers=(later,)).progress == (FoldedProgress(ProgressKind.DISPLAYED, NOON + 12, ALICE),)
    direct = pointer(8, EntryKind.DISPLAYED)
    assert folded(direct, markers=(later,)).progress == (
        FoldedProgress(ProgressKind.DISPLAYED, NOON + 8, ALICE),
    )
    assert folded(markers=(pointer(12, EntryKind.DISPLAYED, target=6),)).progress == ()
    assert folded(markers=(pointer(12, EntryKind.DISPLAYED, target=11, sent=False),)).progress == ()


def test_fastenings_of_one_kind_replace_each_other() -> None:
    def fastened(position: int, payload: str, attributes: str = "", *, sent: bool = True) -> Archived:
        raw = f"<apply-to xmlns='urn:xmpp:fasten:0' id='o' {attributes}>{payload}</apply-to>"
        return pointer(position, EntryKind.FASTENING, raw, sent=sent)

    like, star = "<like xmlns='urn:x'/>", "<star xmlns='urn:x'/>"
    found = folded(fastened(8, like), fastened(9, star), fastened(10, like, sent=False), fastened(11, like))
    assert [(each.id, each.by) for each in found.fastenings] == [
        ("NEW-9", ALICE),
        ("NEW-10", BOB),
        ("NEW-11", ALICE),
    ]
    assert folded(fastened(8, like), fastened(9, like, "clear='true'")).fastenings == ()
    assert len(folded(fastened(8, "", "shell='true'"), fastened(9, "", "shell='true'")).fastenings) == 2


def test_of_what_was_taken_back_nothing_else_is_told() -> None:
    pointers = pointer(8, EntryKind.CORRECTION), reacting(9, "👋")
    found = fold(entry(7, pointers=pointers, retracted=NOON), ALICE, retraction=entry(9))
    assert found.correction is None
    assert found.reactions == ()
    assert found.retraction is not None
    assert (found.retraction.stamp, found.retraction.id) == (NOON, "NEW-9")


# --- what the bytes tell


def test_the_root_of_a_kept_message() -> None:
    body = message(sender=BOB.with_resource("<&'\"> /"), to=PHONE)
    assert root_of(body) == (BOB.with_resource("<&'\"> /"), PHONE, "chat")
    assert root_of(b"<message><body from='x'/></message>") == ("", "", "")


def test_who_wrote_an_entry() -> None:
    room = Jid("room@localhost/nick")
    assert author_of(entry(7, message(kind="groupchat", sender=room)), ALICE) == room
    assert author_of(entry(7), ALICE) == BOB
    assert author_of(entry(7, direction=Direction.SENT), ALICE) == ALICE


def test_messages_with_one_resource() -> None:
    assert is_with(entry(7), DESK)
    assert not is_with(entry(7), BOB.with_resource("other"))
    assert is_with(entry(7, message(sender=PHONE, to=DESK), direction=Direction.SENT), DESK)
    assert not is_with(entry(7, message(sender=PHONE, to=BOB), direction=Direction.SENT), DESK)
