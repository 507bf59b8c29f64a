"""Reports of acceptance: as docs/specs/acceptance.md writes them, and nobody's but the own account's."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import jids, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.acceptance import AcceptedReport, DisableReports, EnableReports, report_of
from tidings.wire.xmpp.payloads.date_time import EARLIEST, LATEST
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId
from tidings.wire.xmpp.stanza import Stanza

ROMEO = Jid("romeo@montague.example")
PAGE = (Path(__file__).parents[4] / "docs/specs/acceptance.md").read_text(encoding="utf-8")
REPORT = AcceptedReport(
    StanzaId("0m4k2q7tz-9", ROMEO), 1_767_292_205_204_117, "m1", "de305d54-75b4-431b-adb2-eb6b9e546013"
)


def test_the_report_is_what_the_document_shows() -> None:
    shown = next(text for text in re.findall(r"```xml\n(.*?)```", PAGE, re.DOTALL) if "<accepted" in text)
    message = decode(re.sub(r">\s+<", "><", shown.strip()).encode(), ns.CLIENT)
    assert message.children == [REPORT.encode()]
    assert AcceptedReport.decode(message.children[0]) == REPORT


def test_the_requests_are_what_the_document_shows() -> None:
    assert EnableReports().encode().to_bytes().decode() in PAGE.replace("'", '"')
    assert DisableReports().encode().to_bytes().decode() in PAGE.replace("'", '"')
    for payload in (EnableReports(), DisableReports()):
        element = payload.encode()
        assert (element.namespace, element.name) == payload.TAG
        assert type(payload).decode(element) == payload


@given(
    st.builds(
        AcceptedReport,
        st.builds(StanzaId, words, jids),
        st.integers(EARLIEST, LATEST),
        st.none() | words,
        st.none() | words,
    )
)
def test_round_trips(report: AcceptedReport) -> None:
    assert AcceptedReport.decode(through_bytes(report.encode())) == report


@pytest.mark.parametrize("broken", ["stanza-id", "time", "stamp", "by"])
def test_a_report_without_its_parts_is_none(broken: str) -> None:
    element = REPORT.encode()
    for child in element.children:
        if child.name == broken:
            child.name = "other"
        child.attributes.pop(broken, None)
    with pytest.raises(StanzaError) as caught:
        AcceptedReport.decode(element)
    assert caught.value.condition == "bad-request"


def test_only_the_own_account_reports() -> None:
    def message(sender: str | None) -> Stanza:
        from_ = None if sender is None else Jid(sender)
        return Stanza.build("message", sender=from_, content=(REPORT.encode(),))

    assert report_of(message("romeo@montague.example"), ROMEO.with_resource("x")) == REPORT
    assert report_of(message(None), ROMEO) == REPORT
    assert report_of(message("romeo@montague.example/x"), ROMEO) is None
    assert report_of(message("tybalt@capulet.example"), ROMEO) is None
    assert report_of(Stanza.build("message", content=(Element("body", ns.CLIENT),)), ROMEO) is None
