"""What the stories about contacts do again and again."""

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import RosterItem, RosterQuery
from tidings.wire.xmpp.stanza import Stanza

CONTACTS = (Rosters, Subscriptions, Presences)


async def befriend(
    world: World, one: str, other: str, subscription: Subscription = Subscription.BOTH
) -> None:
    """Let both accounts' rosters say it; `subscription` is how the first sees it."""
    mirrored = Subscription.of(to=subscription.has_from, from_=subscription.has_to)
    for account, contact, state in ((one, other, subscription), (other, one, mirrored)):
        await world.register(account)
        await store(world, account, RosterEntry(jid=Jid(contact).bare, subscription=state))


async def store(world: World, account: str, entry: RosterEntry) -> None:
    """Put an entry into the roster of an account that is not in memory."""
    jid = await world.register(account)
    await world.stores.roster.put(jid, entry)
    world.server.hosts[jid.domain].directory.forget(jid)


async def show_roster(client: WorldClient, version: str | None = None) -> list[RosterItem]:
    """Ask for the roster, which makes the resource an interested one, and give its items."""
    attribute = "" if version is None else f" ver='{version}'"
    answer = await client.request(f"<iq type='get' id='r'><query xmlns='jabber:iq:roster'{attribute}/></iq>")
    query = answer.find("query", ns.ROSTER)
    return [] if query is None else list(RosterQuery.decode(query).items)


async def change(client: WorldClient, item: str) -> Element:
    """Send a roster set with this item and give the answer."""
    return await client.request(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")


async def interested(world: World, jid: str, presence: str = "<presence/>") -> WorldClient:
    """Log in, ask for the roster and become available."""
    client = await world.login(jid)
    await show_roster(client)
    await client.send(presence)
    client.take()
    return client


def pushed(client: WorldClient) -> list[RosterItem]:
    """Take the roster pushes that have come, as items."""
    items = []
    for iq in client.take("iq"):
        assert iq.get("type") == "set"
        assert iq.get("from") is None
        assert iq.get("to") == client.jid
        items.extend(RosterQuery.decode(iq.children[0]).items)
    return items


def seen(client: WorldClient) -> list[tuple[str, str]]:
    """Take the presences that have come, as (type, from)."""
    return [(presence.get("type") or "", presence.get("from") or "") for presence in client.take("presence")]


def condition(stanza: Element) -> str:
    """Give the condition of an error stanza."""
    assert stanza.get("type") == "error", stanza
    error = stanza.find("error")
    assert error is not None
    return error.children[0].name


class Elsewhere:
    """The server of elsewhere.test: it writes down what it gets and says what it is told to say."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._received: list[Stanza] = []
        world.router.services["elsewhere.test"] = self

    def route(self, stanza: Stanza) -> MaybeAwaitable:
        self._received.append(stanza)

    def take(self) -> list[tuple[str, str | None, str | None]]:
        """Take what has come, as (type, from, to)."""
        taken = [(stanza.kind, stanza.sender, stanza.to) for stanza in self._received]
        self._received.clear()
        return taken

    async def send(self, sender: str, to: str, kind: str) -> None:
        """Send a presence from there."""
        stanza = Stanza.build("presence", kind=kind, sender=Jid(sender), to=Jid(to))
        wait = self._world.router.route(stanza)
        if wait is not None:
            await wait
        await self._world.settle()
