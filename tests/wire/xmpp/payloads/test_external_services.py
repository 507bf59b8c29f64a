"""External services on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.strategies import forms, texts, through_bytes, times, words
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.external_services import (
    ExternalService,
    ServiceAction,
    ServiceCredentials,
    Services,
)


def test_all_services() -> None:  # example 2
    text = b"""<services xmlns='urn:xmpp:extdisco:2'>
    <service host='stun.shakespeare.lit' port='9998' transport='udp' type='stun'/>
    <service host='relay.shakespeare.lit' password='jj929jkj5sadjfj93v3n' port='9999'
     transport='udp' type='turn' username='nb78932lkjlskjfdb7g8' expires='1970-01-01T00:00:09Z'
     restricted='1'/></services>"""
    assert Services.decode(decode(text, "")).services == (
        ExternalService("stun.shakespeare.lit", "stun", 9998, "udp"),
        ExternalService(
            "relay.shakespeare.lit",
            "turn",
            9999,
            "udp",
            "nb78932lkjlskjfdb7g8",
            "jj929jkj5sadjfj93v3n",
            9.0,
            is_restricted=True,
        ),
    )


def test_selected_services() -> None:  # example 3
    element = decode(b"<services xmlns='urn:xmpp:extdisco:2' type='turn'/>", "")
    assert Services.decode(element) == Services("turn")


def test_credentials() -> None:  # example 6
    text = b"""<credentials xmlns='urn:xmpp:extdisco:2'>
    <service host='turn.shakespeare.lit' type='turn'/></credentials>"""
    assert ServiceCredentials.decode(decode(text, "")) == ServiceCredentials(
        (ExternalService("turn.shakespeare.lit", "turn"),)
    )


services = st.builds(
    ExternalService,
    words,
    words,
    st.none() | st.integers(0, 65535),
    texts,
    texts,
    texts,
    st.none() | times,
    texts,
    st.booleans(),
    st.none() | st.sampled_from(ServiceAction),
    st.none() | forms,
)
several = st.lists(services, min_size=1, max_size=3).map(tuple)


@given(st.builds(Services, texts, several) | st.builds(ServiceCredentials, several))
def test_round_trips(value: Services | ServiceCredentials) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    "attributes",
    [
        {"host": "a"},
        {"type": "a"},
        {"host": "a", "type": "b", "port": "65536"},
        {"host": "a", "type": "b", "port": "-1"},
        {"host": "a", "type": "b", "action": "explode"},
        {"host": "a", "type": "b", "expires": "soon"},
    ],
)
def test_nonsense(attributes: dict[str, str]) -> None:
    with pytest.raises(StanzaError) as error:
        ExternalService.decode(Element("service", ns.EXTDISCO, attributes))
    assert error.value.condition == "bad-request"


def test_credentials_for_nothing() -> None:
    with pytest.raises(StanzaError):
        ServiceCredentials.decode(Element("credentials", ns.EXTDISCO))
