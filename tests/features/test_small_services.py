"""Ping, version, time, stream limits and contact addresses, as their users see them."""

from collections.abc import AsyncIterator

import pytest

from tests.harness.world import World
from tidings.features.contact_addresses import ContactAddresses, ContactAddressesOptions, server_information
from tidings.features.disco import ServiceDiscovery
from tidings.features.ping import XmppPing
from tidings.features.time import ServerTime
from tidings.features.version import SoftwareVersion, VersionOptions
from tidings.wire.xmpp.payloads.disco import Info
from tidings.wire.xmpp.payloads.time import EntityTime
from tidings.wire.xmpp.payloads.version import Version

FEATURES = (ServiceDiscovery, XmppPing, ServerTime, SoftwareVersion, ContactAddresses)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES)
    yield world
    await world.stop()


@pytest.mark.parametrize("to", ["", "to='localhost'", "to='alice@localhost'"])
async def test_ping(world: World, to: str) -> None:
    alice = await world.login("alice@localhost/phone")
    pong = await alice.request(f"<iq type='get' id='1' {to}><ping xmlns='urn:xmpp:ping'/></iq>")
    assert (pong.get("type"), pong.children) == ("result", [])


async def test_version(world: World) -> None:
    alice = await world.login("alice@localhost")
    answer = await alice.request(
        "<iq type='get' id='1' to='localhost'><query xmlns='jabber:iq:version'/></iq>"
    )
    version = Version.decode(answer.children[0])
    assert version.name == "Tidings"
    assert version.version
    assert not version.os


async def test_hidden_and_shown_versions(world: World) -> None:
    alice = await world.login("alice@localhost")

    async def told(options: VersionOptions) -> Version:
        world.server.hosts["localhost"].options["version"].now = options
        ask = "<iq type='get' id='1' to='localhost'><query xmlns='jabber:iq:version'/></iq>"
        return Version.decode((await alice.request(ask)).children[0])

    assert (await told(VersionOptions(show_version=False))).version == "hidden"
    assert (await told(VersionOptions(show_system=True))).os


async def test_time(world: World) -> None:
    alice = await world.login("alice@localhost")
    answer = await alice.request("<iq type='get' id='1' to='localhost'><time xmlns='urn:xmpp:time'/></iq>")
    assert EntityTime.decode(answer.children[0]) == EntityTime(world.clock.now(), 0)


ADDRESSES = ContactAddressesOptions(
    abuse=("mailto:abuse@shakespeare.lit", "xmpp:abuse@shakespeare.lit"),
    status=("https://status.shakespeare.lit",),
)


def test_the_form_of_addresses() -> None:  # XEP-0157 example 2
    form = server_information(ADDRESSES)
    assert form is not None
    assert form.form_type == "http://jabber.org/network/serverinfo"
    assert form.values("abuse-addresses") == ADDRESSES.abuse
    assert form.get("sales-addresses") is None
    assert server_information(ContactAddressesOptions()) is None


async def test_addresses_are_part_of_what_the_domain_tells() -> None:
    world = await World.start(features=FEATURES, options={"contact_addresses": ADDRESSES})
    alice = await world.login("alice@localhost")
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    answer = await alice.request(f"<iq type='get' id='1' to='localhost'>{query}</iq>")
    (form,) = Info.decode(answer.children[0]).forms
    assert form.values("status-addresses") == ADDRESSES.status
    await world.stop()
