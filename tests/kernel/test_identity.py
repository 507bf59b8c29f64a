"""What the kernel knows of a client: whether it named itself, and that it answers."""

import pytest

from tests.streams.stand import AUTH, HEADER, plain, standing, until
from tidings.features.ping import XmppPing
from tidings.kernel.events import RequestAnswered
from tidings.kernel.feature import Feature, listens

BIND = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{}</bind></iq>"
SASL2 = (
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{}</initial-response>{}"
    "<bind xmlns='urn:xmpp:bind:0'><tag>app</tag></bind></authenticate>"
)
AGENT = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>"


@pytest.mark.parametrize(
    ("asked", "chose"), [("<resource>phone</resource>", True), ("<resource/>", False), ("", False)]
)
async def test_whether_a_client_names_its_resource(asked: str, chose: bool) -> None:
    async with standing(features=[]) as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(AUTH.format(plain("alice")), until="<success")
        await client.say(HEADER, until="</stream:features>")
        await client.say(BIND.format(asked), until="</iq>")
        [session] = stand.server.sessions()
        assert session.client.chose_resource is chose
        assert session.client.device is None


@pytest.mark.parametrize(("agent", "device"), [("", None), (AGENT, "d4565fa7-4d72-4749-b3d3-740edbf87770")])
async def test_bind_2_leaves_the_resource_to_the_server(agent: str, device: str | None) -> None:
    async with standing(features=[]) as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(SASL2.format(plain("alice"), agent), until="</stream:features>")
        [session] = stand.server.sessions()
        assert not session.client.chose_resource
        assert session.client.device == device


class Listener(Feature):
    """Notes which answers come."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None]] = []

    @listens(RequestAnswered)
    def note(self, event: RequestAnswered) -> None:
        self.heard.append((event.session.jid.resource, event.stanza.id))


async def test_answers_to_the_server_are_told() -> None:
    async with standing(features=[XmppPing, Listener]) as stand:
        client = await stand.log_in("alice@localhost/phone")
        listener = stand.server.hosts["localhost"].feature(Listener)
        assert listener is not None
        client.push("<iq type='result' id='1' to='localhost'/>")
        client.push("<iq type='error' id='2' to='alice@localhost'><error type='cancel'/></iq>")
        client.push("<iq type='error' id='3'><error type='cancel'/></iq>")
        await client.say(
            "<iq type='get' id='4' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", until="/>"
        )
        await until(lambda: len(listener.heard) == 3)
        assert listener.heard == [("phone", "1"), ("phone", "2"), ("phone", "3")]
