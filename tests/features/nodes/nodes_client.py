"""What the stories about nodes do again and again."""

from hashlib import sha1

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.caps import capability_hash_set, verification_string
from tidings.wire.xmpp.payloads.disco import Identity, Info
from tidings.wire.xmpp.payloads.pubsub import PubSubEvent

MOOD = "http://jabber.org/protocol/mood"
TUNE = "http://jabber.org/protocol/tune"
CLIENT_NODE = "urn:example:client"


def info_of(*nodes: str) -> Info:
    features = tuple(f"{node}+notify" for node in nodes)
    return Info("", (Identity("client", "pc", "Test"),), (ns.DISCO_INFO, *features))


def caps(info: Info) -> str:
    """Give a presence that announces this by XEP-0115."""
    version = verification_string(info)
    return f"<presence><c xmlns='{ns.CAPS}' hash='sha-1' node='{CLIENT_NODE}' ver='{version}'/></presence>"


def caps2(info: Info) -> str:
    """Give a presence that announces this by XEP-0390."""
    return f"<presence>{capability_hash_set(info).encode().to_bytes().decode()}</presence>"


def questions(client: WorldClient) -> list[tuple[str, str]]:
    """Take the questions for capabilities that a client has got: id and node."""
    found = []
    for iq in client.take("iq"):
        query = iq.find("query", ns.DISCO_INFO)
        if iq.get("type") == "get" and query is not None:
            found.append((iq.get("id") or "", query.get("node") or ""))
    return found


async def answer(client: WorldClient, question: tuple[str, str], info: Info) -> None:
    payload = info.encode()
    payload.attributes["node"] = question[1]
    raw = payload.to_bytes().decode()
    await client.send(f"<iq type='result' to='localhost' id='{question[0]}'>{raw}</iq>")


async def listening(world: World, jid: str, *nodes: str) -> WorldClient:
    """Log in with a client that wants to hear of these nodes."""
    client = await world.login(jid)
    info = info_of(*nodes)
    await client.send(caps(info))
    for question in questions(client):
        await answer(client, question, info)
    return client


def request(content: str, kind: str = "set", to: str = "", owner: bool = False) -> str:
    namespace = ns.PUBSUB_OWNER if owner else ns.PUBSUB
    address = f" to='{to}'" if to else ""
    return f"<iq type='{kind}' id='q'{address}><pubsub xmlns='{namespace}'>{content}</pubsub></iq>"


def form(namespace: str, **fields: str) -> str:
    """Give a submitted form; a field's name goes without `pubsub#`."""
    inside = "".join(
        f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in fields.items()
    )
    scope = f"<field var='FORM_TYPE' type='hidden'><value>{namespace}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{scope}{inside}</x>"


def publish(node: str, text: str = "x", item: str = "current", to: str = "", **options: str) -> str:
    wanted = form(ns.PUBSUB_PUBLISH_OPTIONS, **options)
    beside = f"<publish-options>{wanted}</publish-options>" if options else ""
    id_ = f" id='{item}'" if item else ""
    content = f"<publish node='{node}'><item{id_}><v xmlns='urn:v'>{text}</v></item></publish>{beside}"
    return request(content, to=to)


def errors(answer: Element) -> list[str]:
    """Give the conditions of an error, or nothing for a result."""
    error = answer.find("error", ns.CLIENT)
    return [] if error is None else [child.name for child in error.children if child.name != "text"]


async def done(client: WorldClient, text: str) -> Element:
    """Ask for something that is granted."""
    answered = await client.request(text)
    assert errors(answered) == []
    return answered


async def texts(
    client: WorldClient, node: str, to: str = "", inside: str = "", beside: str = ""
) -> list[str]:
    """Read the payloads of items."""
    answered = await done(client, request(f"<items node='{node}'>{inside}</items>{beside}", "get", to))
    items = answered.children[0].children[0]
    return [item.children[0].text for item in items.find_all("item")]


def news(client: WorldClient) -> list[tuple[str, str, str]]:
    """Take the news of items that have come: from, node and text."""
    found = []
    for message in client.take("message"):
        event = message.find("event", ns.PUBSUB_EVENT)
        if event is not None and event.find("items") is not None:
            told = PubSubEvent.decode(event)
            payloads = [each.payload for each in told.items]
            found += [
                (message.get("from") or "", told.node, each.text) for each in payloads if each is not None
            ]
    return found


def events(client: WorldClient) -> list[Element]:
    """Take what was told, whatever it is."""
    return [
        event.children[0]
        for message in client.take("message")
        for event in message.find_all("event", ns.PUBSUB_EVENT)
    ]


async def befriend(world: World, one: str, other: str, groups: tuple[str, ...] = ()) -> None:
    """Let two accounts see each other's presence; the first has the other in these groups."""
    for account, contact, names in ((one, other, groups), (other, one, ())):
        jid = await world.register(account)
        entry = RosterEntry(jid=Jid(contact), subscription=Subscription.BOTH, groups=frozenset(names))
        await world.stores.roster.put(jid, entry)
        world.server.hosts[jid.domain].directory.forget(jid)


def wrong_caps(info: Info) -> str:
    """Give a presence that announces a hash that is not this one's."""
    version = sha1(b"something else").hexdigest()  # no secret
    assert version != verification_string(info)
    return f"<presence><c xmlns='{ns.CAPS}' hash='sha-1' node='{CLIENT_NODE}' ver='{version}'/></presence>"
