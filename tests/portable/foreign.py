"""What people have done on another server, in the same way on each, and what of it must come over."""

from __future__ import annotations

from typing import Protocol

from tests.features.pulling import pull
from tests.harness.clock import VirtualClock
from tests.harness.world import World, memory_stores
from tests.streams.stand import Raw
from tidings.base.jid import Jid
from tidings.portable.account import Source
from tidings.portable.importing import Importer, ImportReport
from tidings.ports.ledger.reading import InboxQuery
from tidings.ports.nodes import AccessModel, Affiliation, ItemQuery
from tidings.ports.roster import Subscription
from tidings.ports.stores import Stores
from tidings.wire.xml.writer import escape_text
from tidings.wire.xmpp.sasl.keys import verify_password

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
PASSWORDS = {ALICE: "Secret of A", BOB: "secret"}
ODD = "B\N{LATIN SMALL LETTER U WITH DIAERESIS}cher \"'\\ \N{PILE OF POO} ]] }); "
AVATARS = "urn:xmpp:avatar"
INFO = "<info type='image/png'/>"

CARD = (
    "<FN>Alice</FN><N><FAMILY>Liddell</FAMILY><GIVEN>Alice</GIVEN></N>"
    "<EMAIL><HOME/><USERID>a@b.example</USERID></EMAIL>"
)


BUNDLES, BOOKMARKS = "urn:xmpp:omemo:2:bundles", "urn:xmpp:bookmarks:1"
PUBSUB = "http://jabber.org/protocol/pubsub"
MEMBER = "<affiliation jid='bob@localhost' affiliation='member'/>"


def publish(node: str, payload: str, item: str = "1", access: str = "") -> str:
    wanted = _form("publish-options", access_model=access) if access else ""
    options = f"<publish-options>{wanted}</publish-options>" if access else ""
    published = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    return f"<pubsub xmlns='{PUBSUB}'>{published}{options}</pubsub>"


def configure(node: str, **settings: str) -> str:
    form = _form("node_config", **settings)
    return f"<pubsub xmlns='{PUBSUB}#owner'><configure node='{node}'>{form}</configure></pubsub>"


def _form(kind: str, **settings: str) -> str:
    fields = "".join(
        f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in settings.items()
    )
    scope = f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#{kind}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{scope}{fields}</x>"


def bundle(item: str, key: str) -> str:
    payload = f"<bundle xmlns='urn:xmpp:omemo:2'><spk id='1'>{key}</spk></bundle>"
    return publish(BUNDLES, payload, item, access="open")


OF_ALICE = (
    "<query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='B &lt;'><group>F</group></item></query>",
    "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><url url='a.b'/></storage></query>",
    f"<vCard xmlns='vcard-temp'>{CARD}</vCard>",
    publish(
        f"{AVATARS}:metadata", f"<metadata xmlns='{AVATARS}:metadata'><info type='image/png'/></metadata>"
    ),
    publish(f"{AVATARS}:data", f"<data xmlns='{AVATARS}:data'>AAAA</data>"),
    bundle("7", "AAAA"),
    configure(BUNDLES, max_items="10"),
    bundle("8", "BBBB"),
    bundle("7", "CCCC"),
    publish(BOOKMARKS, f"<conference xmlns='{BOOKMARKS}'/>", "tea@muc.localhost", access="whitelist"),
    f"<pubsub xmlns='{PUBSUB}#owner'><affiliations node='{BOOKMARKS}'>{MEMBER}</affiliations></pubsub>",
    "<block xmlns='urn:xmpp:blocking'><item jid='eve@localhost'/></block>",
)
PREFS = (
    "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>alice@localhost</jid></always>"
    "<never/></prefs>"
)


class Foreign(Protocol):
    """A server of another make."""

    async def log_in(self, name: str, password: str) -> Raw:
        """Log in as a client does, with the resource `test`."""
        ...


async def ask(client: Raw, payload: str, kind: str = "set", to: str = "") -> None:
    """Ask, and see that the answer is a result."""
    answer = await client.say(f"<iq type='{kind}' id='ask'{to}>{payload}</iq>", until="id='ask'")
    tag = answer.rpartition("<iq")[2] + client.heard.partition(">")[0]
    assert "type='result'" in tag, answer + client.heard


async def use(server: Foreign) -> None:
    """Let two people use everything that an account has there."""
    alice, bob = await server.log_in("alice", PASSWORDS[ALICE]), await server.log_in("bob", PASSWORDS[BOB])
    await alice.say("<presence/>", until="<presence")
    await bob.say("<presence/>", until="<presence")
    for request in OF_ALICE:
        await ask(alice, request)
    await ask(bob, PREFS)
    subscribe = f"<subscribe node='{BUNDLES}' jid='bob@localhost'/>"
    await ask(bob, f"<pubsub xmlns='{PUBSUB}'>{subscribe}</pubsub>", to=" to='alice@localhost'")
    bob.push("<presence type='subscribe' to='alice@localhost'><status>Please</status></presence>")
    await alice.hear("Please")
    for number, (sender, receiver) in enumerate(((alice, bob), (bob, alice), (alice, bob))):
        text = escape_text(ODD) if number == 1 else f"m{number}"
        to = "bob" if receiver is bob else "alice"
        sender.push(f"<message type='chat' to='{to}@localhost' id='m{number}'><body>{text}</body></message>")
        await receiver.hear(f"id='m{number}'")
    await bob.say("</stream:stream>", until="</stream:stream>")
    alice.push("<message type='chat' to='bob@localhost' id='waits'><body>waits</body></message>")
    await ask(alice, "<query xmlns='http://jabber.org/protocol/disco#info'/>", "get")
    await alice.say("</stream:stream>", until="</stream:stream>")
    for client in (alice, bob):
        await client.close()


async def nodes_are_there(stores: Stores) -> None:
    """See that the nodes of Alice are there with what is in them, and who may do what with them."""
    nodes = {node.name: node for node in await stores.nodes.list(ALICE)}
    assert {BUNDLES, BOOKMARKS, f"{AVATARS}:data", f"{AVATARS}:metadata"} <= nodes.keys()
    access = {name: nodes[name].config.access_model for name in (BUNDLES, BOOKMARKS, f"{AVATARS}:data")}
    assert list(access.values()) == [AccessModel.OPEN, AccessModel.WHITELIST, AccessModel.PRESENCE]
    assert nodes[BUNDLES].config.max_items == 10
    bundles = (await stores.nodes.items(ALICE, BUNDLES, ItemQuery())).items
    assert [(item.id, item.publisher) for item in bundles] == [("8", ALICE), ("7", ALICE)]
    assert b"CCCC" in bundles[1].payload
    assert bundles[0].published > 1_500_000_000
    assert await stores.nodes.affiliations(ALICE, BOOKMARKS) == {BOB: Affiliation.MEMBER}
    assert [each.jid for each in await stores.nodes.subscriptions(ALICE, BUNDLES)] == [BOB]


async def come_over(
    source: Source, *domains: str, has_archives: bool = True, has_nodes: bool = True
) -> tuple[World, ImportReport]:
    """Import what people have done, and see that they find it; gives the server on which they do."""
    clock = VirtualClock()
    clock.advance(86_400 * 3_650)
    stores = await memory_stores(clock)
    report = await Importer(stores, ["localhost", *domains], clock).run(source, "a test")
    assert report.problems == []

    for jid, password in PASSWORDS.items():
        record = await stores.accounts.get(jid)
        assert record is not None
        assert [keys.mechanism for keys in record.keys] == ["SCRAM-SHA-1"]
        assert verify_password(password, record.keys)
        assert not verify_password("other", record.keys)
    [contact] = (await stores.roster.load(ALICE)).entries
    assert b"<status" in (contact.pending_in or b"")
    assert b">Please</status>" in (contact.pending_in or b"")
    [contact] = (await stores.roster.load(BOB)).entries
    assert (contact.jid, contact.ask, contact.subscription) == (ALICE, True, Subscription.NONE)
    vcard = await stores.vcards.get(ALICE)
    assert vcard is not None
    for part in (b"<FN>Alice</FN>", b"<FAMILY>Liddell</FAMILY>", b"<USERID>a@b.example</USERID>"):
        assert part in vcard
    assert await stores.private.get(ALICE, "storage:bookmarks", "storage") is not None
    assert await stores.blocking.list(ALICE) == {Jid("eve@localhost")}

    if has_nodes:
        await nodes_are_there(stores)
    world = await World.start(stores=stores, clock=clock)
    bob = await world.login("bob@localhost/phone")
    await bob.send("<presence/>")
    assert [message.text_of("body") for message in bob.take("message")] == ["waits"]
    assert stores.ledger is not None
    [row] = (await stores.ledger.inbox(BOB, InboxQuery())).rows
    assert row.unread == 1
    if has_archives:
        preferences = await stores.preferences.get(BOB)
        assert preferences is not None
        assert (preferences.default.value, preferences.always) == ("roster", (ALICE,))
        [contact] = (await stores.roster.load(ALICE)).entries
        assert (contact.jid, contact.name, contact.groups) == (BOB, "B <", {"F"})
        alice = await world.online("alice@localhost/phone")
        for client in (alice, bob):
            assert (await pull(client)).texts == ["m0", ODD, "m2", "waits"]
    return world, report
