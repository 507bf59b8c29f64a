"""The fold on the wire: what has become of an archived message comes back as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import moments
from tests.wire.xmpp.payloads.strategies import jids, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import decode
from tidings.wire.xml.writer import escape_text
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.archive_fold import (
    Folded,
    FoldedMessage,
    FoldedProgress,
    FoldedReactions,
    FoldedRetraction,
    ProgressKind,
)
from tidings.wire.xmpp.payloads.forwarding import Forwarded

messages = st.builds(
    FoldedMessage,
    words,
    moments,
    jids,
    words.map(lambda text: f'<message type="chat"><body>{escape_text(text)}</body></message>'.encode()),
)
folds = st.builds(
    Folded,
    retraction=st.none() | st.builds(FoldedRetraction, moments, st.none() | words),
    correction=st.none() | messages,
    reactions=st.lists(
        st.builds(FoldedReactions, moments, jids, st.lists(words, min_size=1).map(tuple)), max_size=3
    ).map(tuple),
    progress=st.lists(
        st.builds(FoldedProgress, st.sampled_from(ProgressKind), moments, jids), max_size=3
    ).map(tuple),
    fastenings=st.lists(messages, max_size=2).map(tuple),
)


@given(folds)
def test_a_fold_comes_back(folded: Folded) -> None:
    assert Folded.decode(decode(folded.to_bytes(), "")) == folded


@given(folds)
def test_a_fold_travels_in_a_result(folded: Folded) -> None:
    result = ArchiveResult("e-1", Forwarded(b"<message/>"), "q", ns.MAM2, folded)
    assert ArchiveResult.decode(decode(result.to_bytes(), "")) == result


def test_a_query_asks_for_folds() -> None:
    query = ArchiveQuery(is_folded=True)
    assert query.encode().find("fold", ns.TIDINGS_ARCHIVE) is not None
    assert ArchiveQuery.decode(query.encode()) == query
    assert not ArchiveQuery.decode(ArchiveQuery().encode()).is_folded


def test_what_is_not_known_is_passed_over() -> None:
    raw = b"<folded xmlns='urn:tidings:archive:0'><later/><displayed xmlns='urn:x'/></folded>"
    assert Folded.decode(decode(raw, "")) == Folded()


@pytest.mark.parametrize(
    "content",
    [
        "<retraction/>",
        "<correction id='e-1' stamp='2026-01-01T00:00:00Z' by='a@b'/>",
        "<correction stamp='2026-01-01T00:00:00Z' by='a@b'><message xmlns='jabber:client'/></correction>",
        "<reactions by='a@b' stamp='yesterday'/>",
        "<displayed stamp='2026-01-01T00:00:00Z'/>",
    ],
)
def test_broken_folds_are_refused(content: str) -> None:
    raw = f"<folded xmlns='urn:tidings:archive:0'>{content}</folded>"
    with pytest.raises(StanzaError):
        Folded.decode(decode(raw.encode(), ""))


def test_what_a_person_wrote_stays_inside() -> None:
    reactions = FoldedReactions(0, Jid("a@b/<'&\">"), ("</reaction><evil/>",))
    (found,) = Folded.decode(decode(Folded(reactions=(reactions,)).to_bytes(), "")).reactions
    assert found == reactions
