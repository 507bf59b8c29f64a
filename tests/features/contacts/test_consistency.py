"""What holds whatever people do: both sides of a subscription agree, and nobody sees what is not there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.contacts.people import befriend, change, show_roster
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.contacts.subscription import State, Verb, receive, send


class Side:
    """One account's side of a subscription, run by the tables alone."""

    def __init__(self) -> None:
        self.state = State.NONE
        self.approved = False
        self.other: Side

    def send(self, verb: Verb) -> None:
        step = send(verb, self.state, approved=self.approved)
        self.state, self.approved = step.state, step.approved
        if step.passes:
            self.other.receive(verb)

    def receive(self, verb: Verb) -> None:
        step = receive(verb, self.state, approved=self.approved)
        self.state, self.approved = step.state, step.approved
        if step.reply is not None:
            self.other.receive(step.reply)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(Verb)), max_size=40))
def test_both_sides_agree_after_any_conversation(conversation):
    one, two = Side(), Side()
    one.other, two.other = two, one
    for first, verb in conversation:
        (one if first else two).send(verb)
        for side in (one, two):
            assert side.state.sees_contact == side.other.state.seen_by_contact
            assert side.state.pending_out == side.other.state.pending_in


PEOPLE = ("alice@localhost", "bob@localhost", "carol@other.test")
DEVICES = tuple(f"{person}/{device}" for person in PEOPLE for device in ("one", "two"))

MOVES = ("come", "change", "go", "leave", "lose")
DEEDS = (*(verb.value for verb in Verb), "add", "remove", "block", "unblock", "direct")
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(MOVES), st.sampled_from(DEVICES), st.none()),
    st.tuples(st.sampled_from(DEEDS), st.sampled_from(DEVICES), st.sampled_from(PEOPLE)),
)


class Town:
    """Three people with two devices each, and what each device believes that it sees."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: dict[str, WorldClient] = {}
        self.views: dict[str, set[str]] = {}
        """By available device: the devices whose presence it has got and not lost."""
        self.directed: set[tuple[str, str]] = set()
        """(device, person) that the device has shown itself to."""
        self.blocked: set[tuple[str, str]] = set()

    async def do(self, action: str, device: str, other: str | None) -> None:
        client = self.clients.get(device)
        if action == "come":
            if client is None:
                client = self.clients[device] = await self.world.login(device)
                await show_roster(client)
            self.views.setdefault(device, set())
            await client.send("<presence/>")
        elif client is not None:
            await self._do_online(action, client, other)
        self._look()

    async def _do_online(self, action: str, client: WorldClient, other: str | None) -> None:
        device, person = str(client.jid), str(client.jid.bare)
        match action:
            case "change" if device in self.views:
                await client.send("<presence><show>away</show></presence>")
            case "go":
                self._forget(device)
                await client.send("<presence type='unavailable'/>")
            case "leave" | "lose":
                self._forget(device)
                del self.clients[device]
                await getattr(client, action)()
            case "add":
                await change(client, f"<item jid='{other}' name='x'/>")
            case "remove":
                await change(client, f"<item jid='{other}' subscription='remove'/>")
            case "block" | "unblock" if other != person:
                query = f"<{action} xmlns='urn:xmpp:blocking'><item jid='{other}'/></{action}>"
                await client.request(f"<iq type='set' id='b'>{query}</iq>")
                self._note_block(person, other, is_blocked=action == "block")
            case "direct" if device in self.views and not self._is_blocked(person, other):
                self.directed.add((device, other))
                await client.send(f"<presence to='{other}'/>")
            case verb if verb in set(Verb):
                await client.send(f"<presence to='{other}' type='{verb}'/>")

    def _forget(self, device: str) -> None:
        self.views.pop(device, None)
        self.directed -= {(shown, to) for shown, to in self.directed if shown == device}

    def _note_block(self, person: str, other: str, *, is_blocked: bool) -> None:
        self._look()
        if not is_blocked:
            self.blocked.discard((person, other))
            return
        self.blocked.add((person, other))
        self.directed = {pair for pair in self.directed if (owner(pair[0]), pair[1]) != (person, other)}
        for device, view in self.views.items():
            if owner(device) == person:  # its client shows the contact no more
                view -= {seen for seen in view if owner(seen) == other}

    def _is_blocked(self, one: str, other: str) -> bool:
        return not self.blocked.isdisjoint({(one, other), (other, one)})

    def _look(self) -> None:
        for device, client in self.clients.items():
            for presence in client.take("presence"):
                kind, sender = presence.get("type"), presence.get("from")
                if device in self.views and kind is None:
                    self.views[device].add(sender)
                elif device in self.views and kind == "unavailable":
                    self.views[device].discard(sender)

    async def check(self) -> None:
        rosters = {person: (await self.world.stores.roster.load(Jid(person))).entries for person in PEOPLE}
        for device, view in self.views.items():
            must = {
                other
                for other in self.views
                if owner(other) == owner(device)
                or (
                    not self._is_blocked(owner(other), owner(device))
                    and any(e.jid == owner(device) and e.subscription.has_from for e in rosters[owner(other)])
                )
            }
            may = must | {other for other in self.views if (other, owner(device)) in self.directed}
            assert must <= view, f"{device} does not see {must - view}"
            assert view <= may, f"{device} still sees {view - may}"


def owner(device: str) -> str:
    return device.partition("/")[0]


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(ACTIONS, min_size=10, max_size=80))
async def test_every_device_sees_those_whom_it_may_see_and_nobody_else(friends, actions):
    world = await World.start()
    town = Town(world)
    for one in PEOPLE:
        await world.register(one)
        for other in PEOPLE:
            if friends and one < other:
                await befriend(world, one, other)
    for action in actions:
        await town.do(*action)
        await town.check()
    await world.stop()
