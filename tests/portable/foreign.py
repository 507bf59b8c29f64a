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
from tidings.ports.roster import Subscription
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


def publish(node: str, payload: str) -> str:
    item = f"<publish node='{node}'><item id='1'>{payload}</item></publish>"
    return f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{item}</pubsub>"


OF_ALICE = (
    "<query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='B &lt;'><group>F</group></item></query>",
    "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><url url='a.b'/></storage></query>",
    f"<vCard xmlns='vcard-temp'>{CARD}</vCard>",
    publish(
        f"{AVATARS}:metadata", f"<metadata xmlns='{AVATARS}:metadata'><info type='image/png'/></metadata>"
    ),
    publish(f"{AVATARS}:data", f"<data xmlns='{AVATARS}:data'>AAAA</data>"),
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


async def ask(client: Raw, payload: str, kind: str = "set") -> None:
    """Ask, and see that the answer is a result."""
    answer = await client.say(f"<iq type='{kind}' id='ask'>{payload}</iq>", until="id='ask'")
    tag = answer.rpartition("<iq")[2] + client.heard.partition(">")[0]
    assert "type='result'" in tag, answer


async def use(server: Foreign) -> None:
    """Let two people use everything that an account has there."""
    alice, bob = await server.log_in("alice", PASSWORDS[ALICE]), await server.log_in("bob", PASSWORDS[BOB])
    await alice.say("<presence/>", until="<presence")
    await bob.say("<presence/>", until="<presence")
    for request in OF_ALICE:
        await ask(alice, request)
    await ask(bob, PREFS)
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


async def come_over(source: Source, *domains: str, has_archives: bool = True) -> tuple[World, ImportReport]:
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
