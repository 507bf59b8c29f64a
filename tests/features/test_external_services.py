"""External services: who is told of them, and credentials that a TURN server accepts."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.external_services import (
    ExternalServices,
    ExternalServicesOptions,
    ServiceOptions,
    is_meant,
    turn_credentials,
)
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.external_services import ExternalService, ServiceCredentials, Services

OPTIONS = ExternalServicesOptions(
    services=(
        ServiceOptions(host="stun.localhost", type="stun", port=9998, transport="udp"),
        ServiceOptions(host="turn.localhost", type="turn", port=3478, secret="shared", lifetime_seconds=600),
        ServiceOptions(host="turn.localhost", type="turn", port=443, username="guest", password="guest"),
    )
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=(ExternalServices,), options={"external_services": OPTIONS})
    yield world
    await world.stop()


async def services(client: WorldClient, kind: str = "") -> tuple[ExternalService, ...]:
    attribute = f" type='{kind}'" if kind else ""
    query = f"<services xmlns='urn:xmpp:extdisco:2'{attribute}/>"
    answer = await client.request(f"<iq type='get' id='1' to='localhost'>{query}</iq>")
    told = Services.decode(answer.children[0])
    assert told.kind == kind
    return told.services


async def credentials(client: WorldClient, service: str, to: str = "localhost") -> Element:
    query = f"<credentials xmlns='urn:xmpp:extdisco:2'>{service}</credentials>"
    return await client.request(f"<iq type='get' id='1' to='{to}'>{query}</iq>")


def test_a_turn_server_accepts_the_credentials() -> None:
    username, password = turn_credentials("north", Jid("alice@localhost"), 1_700_000_000)
    assert username.startswith("1700000000:")
    assert password == b64encode(hmac.digest(b"north", username.encode(), hashlib.sha1)).decode()


def test_names_for_turn_tell_nobody_the_account() -> None:
    alice, again, bob = (
        turn_credentials("north", Jid(f"{name}@localhost"), 1)[0] for name in ("alice", "alice", "bob")
    )
    assert alice == again != bob
    assert "alice" not in alice


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (ExternalService("turn.localhost", "turn"), True),
        (ExternalService("turn.localhost", "turn", 3478), True),
        (ExternalService("turn.localhost", "turn", 443), False),
        (ExternalService("turn.localhost", "stun"), False),
        (ExternalService("other.localhost", "turn"), False),
        (ExternalService("turn.localhost", "turn", None, "tcp"), False),
        (ExternalService("turn.localhost", "turn", None, "udp"), True),  # the usual one
    ],
)
def test_which_service_is_meant(wanted: ExternalService, meant: bool) -> None:
    assert is_meant(wanted, OPTIONS.services[1]) is meant


@pytest.mark.parametrize(
    ("kind", "configured", "told"),
    [
        ("stun", "", "udp"),
        ("turn", "", "udp"),
        ("stuns", "", "tcp"),
        ("turns", "", "tcp"),
        ("turn", "tcp", "tcp"),
        ("ftp", "", ""),
    ],
)
async def test_clients_are_told_the_usual_transport(kind: str, configured: str, told: str) -> None:
    service = ServiceOptions(host="there.localhost", type=kind, transport=configured)
    options = {"external_services": ExternalServicesOptions(services=(service,))}
    world = await World.start(features=(ExternalServices,), options=options)
    [answer] = await services(await world.login("alice@localhost"))
    assert answer.transport == told
    await world.stop()


async def test_all_services(world: World) -> None:  # §3.1
    stun, turn, guest = await services(await world.login("alice@localhost"))
    assert stun == ExternalService("stun.localhost", "stun", 9998, "udp")
    assert turn.expires == world.clock.now() + 600
    assert (turn.username, turn.password) == turn_credentials(
        "shared", Jid("alice@localhost"), int(turn.expires)
    )
    assert turn.is_restricted
    assert (guest.username, guest.password, guest.expires) == ("guest", "guest", None)


async def test_services_of_one_type(world: World) -> None:  # §3.2
    alice = await world.login("alice@localhost")
    assert [each.kind for each in await services(alice, "stun")] == ["stun"]
    assert await services(alice, "ftp") == ()


async def test_credentials_for_one_service(world: World) -> None:  # §3.3
    alice = await world.login("alice@localhost")
    answer = await credentials(alice, "<service host='turn.localhost' type='turn' port='3478'/>")
    (service,) = ServiceCredentials.decode(answer.children[0]).services
    assert (service.port, bool(service.password)) == (3478, True)
    both = await credentials(alice, "<service host='turn.localhost' type='turn'/>")
    assert len(ServiceCredentials.decode(both.children[0]).services) == 2


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("<service host='elsewhere.example' type='turn'/>", "item-not-found"),
        ("<service host='turn.localhost' type='turn' port='99999999999999'/>", "bad-request"),
        ("<service host='turn.localhost' type='turn' port='-3478'/>", "bad-request"),
        ("", "bad-request"),
    ],
)
async def test_credentials_that_nobody_gets(world: World, service: str, expected: str) -> None:
    answer = await credentials(await world.login("alice@localhost"), service)
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    assert error.children[0].name == expected


async def test_users_of_another_domain_are_told_nothing(world: World) -> None:
    stranger = await world.login("bob@other.test")
    answer = await credentials(stranger, "<service host='turn.localhost' type='turn'/>")
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    assert error.children[0].name == "forbidden"
