"""What leaves in the portable format comes back as it was, and what was taken back does not leave."""

from __future__ import annotations

from pathlib import Path

from tests.features.pulling import chat, pull
from tests.harness.world import World, memory_stores
from tidings.adapters.memory import MemoryStores
from tidings.base.jid import Jid
from tidings.portable.exporting import Exporter
from tidings.portable.importing import Importer
from tidings.portable.xep0227.reading import Xep0227
from tidings.portable.xep0227.writing import written
from tidings.ports.groups import Member, SharedGroup
from tidings.ports.nodes import AccessModel, Affiliation, ItemQuery, Standing
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.writer import escape_text
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.sasl.keys import make_scram_keys

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")

ODD = "5 < 6 & \"quoted\" 'twice' \N{PILE OF POO} ]]>"
REQUESTS = (
    "<query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='&amp;'><group>x</group></item></query>",
    "<query xmlns='jabber:iq:private'><a xmlns='urn:a'><b xmlns='urn:b' c='d'>e</b></a></query>",
    "<vCard xmlns='vcard-temp'><FN>Alice &lt;</FN></vCard>",
    "<block xmlns='urn:xmpp:blocking'><item jid='eve@localhost'/><item jid='spam.test'/></block>",
    (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:n'>"
        "<item id='i&amp;'><x xmlns='urn:x'/></item></publish><publish-options>"
        "<x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='pubsub#access_model'><value>open</value></field></x></publish-options></pubsub>"
    ),
    (
        "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='urn:n'>"
        "<affiliation jid='bob@localhost' affiliation='publisher'/></affiliations></pubsub>"
    ),
    "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>bob@localhost</jid></always><never/></prefs>",
)


async def document_of(stores: MemoryStores) -> bytes:
    exporter = Exporter(stores)
    return b"".join([part async for part in written(exporter, exporter.accounts(["localhost"]))])


def elements_of(document: bytes) -> Element:
    """The ids of an archive are its own."""
    root = decode(document.partition(b"?>")[2], "")
    for host in root.children:
        for archive in (found for user in host.children for found in user.find_all("archive", ns.PIE_MAM)):
            for result in archive.children:
                del result.attributes["id"]
    return root


async def filled() -> World:
    """A server on which people have used everything that an account has."""
    world = await World.start()
    await world.stores.accounts.create(ALICE, make_scram_keys("secret", iterations=4096), 1_600_000_000.25)
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    for request in REQUESTS:
        answer = await alice.request(f"<iq type='set' id='s'>{request}</iq>")
        assert answer.get("type") == "result", answer
    await bob.send("<presence type='subscribe' to='alice@localhost'><status>Please</status></presence>")
    await chat(alice, "bob@localhost", "one", "two")
    await chat(bob, "alice@localhost", "three")
    body = f"<body>{escape_text(ODD)}</body>"
    await alice.send(f"<message to='bob@localhost' type='chat' id='odd'>{body}</message>")
    await alice.leave()
    await world.stores.groups.create("localhost", SharedGroup(name="sales & co", label="Sales"))
    await world.stores.groups.add("localhost", "sales & co", [Member(ALICE, "Älice"), Member(BOB)])
    await chat(bob, "alice@localhost", "waits", "takes back")
    retract = "<retract xmlns='urn:xmpp:message-retract:1' id='takes back'/>"
    await bob.send(f"<message to='alice@localhost' type='chat' id='r'><body>gone</body>{retract}</message>")
    return world


async def test_everything_comes_back(tmp_path: Path) -> None:
    world = await filled()
    before = await document_of(world.stores)
    await world.stop()
    assert b"takes back</body>" not in before
    file = tmp_path / "export.xml"
    file.write_bytes(before)

    stores = await memory_stores(world.clock)
    report = await Importer(stores, ["localhost"], world.clock).run(Xep0227(file), "export.xml")
    assert (report.accounts, dict(report.left_out)) == (2, {})
    after = await document_of(stores)
    assert elements_of(after).to_bytes().splitlines() == elements_of(before).to_bytes().splitlines()
    node, standing = await stores.nodes.standing(ALICE, "urn:n", BOB) or (None, None)
    assert node is not None
    assert node.config.access_model is AccessModel.OPEN
    assert standing == Standing(Affiliation.PUBLISHER)
    (item,) = (await stores.nodes.items(ALICE, "urn:n", ItemQuery())).items
    assert (item.id, item.publisher, item.payload) == ("i&", ALICE, b'<x xmlns="urn:x"/>')
    groups = await stores.groups.load("localhost")
    assert [(group.name, group.label) for group in groups.groups] == [("sales & co", "Sales")]
    assert {(each.jid, each.name) for each in groups.memberships} == {(ALICE, "Älice"), (BOB, "")}

    world = await World.start(stores=stores, clock=world.clock)
    alice = await world.login("alice@localhost/new")
    await alice.send("<presence/>")
    assert next(message.text_of("body") for message in alice.take("message")) == "waits"
    texts = (await pull(alice)).texts
    assert texts[:5] == ["one", "two", "three", ODD, "waits"]
    assert texts[5] is None
    await world.stop()


async def test_what_was_kept_out_of_the_archive_stays_out(tmp_path: Path) -> None:
    world = await World.start()
    alice, bob = await world.online("alice@localhost/a"), await world.online("bob@localhost/b")
    await alice.request(
        "<iq type='set' id='s'><prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs></iq>"
    )
    await alice.leave()
    await chat(bob, "alice@localhost", "waits")
    file = tmp_path / "export.xml"
    file.write_bytes(await document_of(world.stores))
    await world.stop()

    stores = await memory_stores(world.clock)
    await Importer(stores, ["localhost"], world.clock).run(Xep0227(file), "export.xml")
    world = await World.start(stores=stores, clock=world.clock)
    alice = await world.login("alice@localhost/new")
    await alice.send("<presence/>")
    assert [message.text_of("body") for message in alice.take("message")] == ["waits"]
    assert (await pull(alice)).texts == []
    await world.stop()
