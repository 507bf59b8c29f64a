"""What may happen to people, their connections and the server, as the rules of a state machine."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.harness.world import World
from tests.stories.device import Device
from tests.stories.knowledge import Eras, Submission
from tests.stories.looking import Observer
from tests.stories.model import EPHEMERAL, Message, Model
from tests.stories.story_machine import StoryMachine, devices
from tidings.base.jid import Jid
from tidings.features.devices import DeviceOptions
from tidings.ports.ledger.reading import PageQuery

ALICE, BOB, CAROL = ACCOUNTS = ["alice@localhost", "bob@localhost", "carol@localhost"]
WAYS = (
    Submission(ALICE, "phone", counts=True, resumes=True),
    Submission(ALICE, "desk"),
    Submission(ALICE, "web", counts=True, pulls="archive"),
    Submission(ALICE, "tab", counts=True, resumes=True, pulls="sync"),
    Submission(BOB, "phone", counts=True, resumes=True),
    Submission(BOB, "desk"),
    Submission(BOB, "web", pulls="archive"),
    Submission(CAROL, "watch", counts=True, user_agent="d4565fa7"),
    Submission(CAROL, "tab", pulls="sync"),
)
accounts = st.sampled_from(ACCOUNTS)
peers = st.sampled_from([ALICE, BOB, BOB, CAROL])
indexes = st.integers(0, 7)
kinds = st.sampled_from(["chat", "chat", "chat", "chat", "burn", "secret", "typing"])
references = st.sampled_from(["correction", "retraction", "reactions"])
few = st.lists(st.tuples(kinds, st.booleans()), min_size=1, max_size=4)


class Machine(StoryMachine):
    """Nine devices of three people."""

    speeches = few

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(ACCOUNTS)
        self.eras = Eras()
        self.do(self._start())

    async def _start(self) -> None:
        self.world = await World.start(
            ["localhost"],
            stores=await self.open(),
            clock=self.clock,
            options={"devices": DeviceOptions(offline_messages=3)},
        )
        self.devices = [Device(self.world, self.model, way, self.eras) for way in WAYS]
        self.observers = {
            account: Observer(self.world, self.model.archives[account], self.eras) for account in ACCOUNTS
        }
        for device in self.devices:  # all are known before anything is said
            await device.come()
            await device.leave()
        await self.world.advance(6)

    # --- speaking

    @rule(number=devices, peer=peers, contents=few)
    def say(self, number: int, peer: str, contents: list[tuple[str, bool]]) -> None:
        self.do(self._say(self.devices[number], self._messages(self.devices[number], peer, contents)))

    @rule(number=devices, other=devices, has_origin=st.booleans())
    def say_to_a_device(self, number: int, other: int, has_origin: bool) -> None:
        device = self.devices[number]
        contents = [("chat", has_origin)]
        self.do(self._say(device, self._messages(device, str(self.devices[other]), contents)))

    @rule(number=devices, peer=peers, contents=few, is_noticed=st.booleans())
    def say_and_lose_the_connection(
        self, number: int, peer: str, contents: list[tuple[str, bool]], is_noticed: bool
    ) -> None:
        """The messages arrive; that they did, and what came meanwhile, is lost."""

        async def work() -> None:
            device = await self._at_hand(number)
            if device.is_connected:
                await device.say_into_silence(*self._messages(device, peer, contents))
                if is_noticed:
                    await device.lose()

        self.do(work())

    @rule(number=devices, index=indexes)
    def say_again(self, number: int, index: int) -> None:
        """Send something again that was sent before, from whichever device of its author."""
        device = self.devices[number]
        said = [each for each in self.model.said if each.has_origin and each.sender == device.way.account]
        if said:
            self.do(self._say(device, [said[-1 - index % len(said)]]))

    @rule(number=devices, kind=references, index=indexes, has_origin=st.booleans())
    def refer(self, number: int, kind: str, index: int, has_origin: bool) -> None:
        """Correct, retract or react to a message; what somebody else wrote can be reacted to."""
        device = self.devices[number]
        about = self._pick(device, index, None if kind == "reactions" else device.way.account)
        if about is not None:
            peer = about.recipient if about.sender == device.way.account else about.sender
            message = Message(self.model.new_id(), device.way.account, peer, kind, about.id, has_origin)
            self.do(self._say(device, [message]))

    @rule(number=devices, peer=peers, index=st.integers(0, 2))
    def take_back(self, number: int, peer: str, index: int) -> None:
        """Say something, and take one of the last messages back."""
        device = self.devices[number]
        messages = self._messages(device, peer, [("chat", False), ("chat", True)])
        chat = (device.way.account, peer, "chat")
        said = [each for each in self.model.said if (each.sender, each.recipient, each.kind) == chat]
        about = (said + messages)[-1 - index % (len(said) + 2)]
        retraction = Message(self.model.new_id(), device.way.account, peer, "retraction", about.id)
        self.do(self._say(device, [*messages, retraction]))

    def _pick(self, device: Device, index: int, author: str | None = None) -> Message | None:
        """Give one of the last messages that an account has sent or got."""
        found = [
            message
            for message in self.model.said
            if message.kind in {"chat", "burn"}
            and device.way.account in {message.sender, message.recipient}
            and author in {None, message.sender}
        ]
        return found[-1 - index % len(found)] if found else None

    def _messages(self, device: Device, to: str, contents: list[tuple[str, bool]]) -> list[Message]:
        own, new_id = device.way.account, self.model.new_id
        return [Message(new_id(), own, to, kind, "", has_origin) for kind, has_origin in contents]

    async def _at_hand(self, number: int) -> Device:
        """Give a device that has a session, whatever its connection is like."""
        device = self.devices[number]
        if device.session is None:
            await device.come()
        return device

    async def _speak(self, sender: Device, listener: Device, speech: list[tuple[str, bool]]) -> None:
        await self._say(sender, self._messages(sender, listener.way.account, speech))

    async def _say(self, device: Device, messages: list[Message]) -> None:
        if device.session is None:
            await device.come()
        heard_before = {each: list(each.heard) for each in self.devices}
        reached = {
            account: [
                each
                for each in self.devices
                if each.way.account == account and each.is_available and each.has_session
            ]
            for account in ACCOUNTS
        }
        await device.say(*messages)
        for each in self.devices:
            each.look()
        for message in messages:
            if message.kind not in EPHEMERAL or not device.is_connected:
                continue
            assert (message.id in device.errors) == (
                message.kind == "secret" and not reached[message.recipient]
            )
            for each in reached[message.recipient]:
                if each.is_connected:
                    heard = each.heard.count(message.id) - heard_before[each].count(message.id)
                    assert heard == 1 or (heard == 0 and each.is_catching_up)

    # --- reading

    @rule(number=devices, peer=peers, index=st.integers(0, 5), is_newest=st.booleans())
    def mark_displayed(self, number: int, peer: str, index: int, is_newest: bool) -> None:
        """Read all of a conversation, or a part of it, and say so to the other one."""
        device = self.devices[number]
        if peer == device.way.account:
            return
        about = self._pick(device, 0 if is_newest else index, peer)
        if about is not None:
            message = Message(self.model.new_id(), device.way.account, peer, "displayed", about.id)
            self.do(self._say(device, [message]))

    @rule(account=accounts, peer=peers, what=st.sampled_from(["read", "read", "unread", "archive", "inbox"]))
    def change_the_inbox(self, account: str, peer: str, what: str) -> None:
        self.do(self.observers[account].change(peer, what))
        self._look()

    @rule(account=accounts, peer=peers, index=indexes)
    def publish_what_is_displayed(self, account: str, peer: str, index: int) -> None:
        self.do(self.observers[account].publish(peer, index))
        self._look()

    # --- connections

    @rule(number=devices)
    def leave(self, number: int) -> None:
        if self.devices[number].is_connected:
            self.do(self.devices[number].leave())

    @rule(number=devices, other=devices, is_coming_back=st.booleans())
    def hide(self, number: int, other: int, is_coming_back: bool) -> None:
        """Be connected, but not available; somebody says something to this device all the same."""
        device, sender = self.devices[number], self.devices[other]

        async def work() -> None:
            await device.come()
            device.look()
            device.is_available = False
            await device.send("<presence type='unavailable'/>")
            for to in (device.way.account, str(device)):
                await self._say(sender, self._messages(sender, to, [("chat", True)]))
            if is_coming_back and device.is_connected:
                await device.come()

        self.do(work())
        self._look()

    @rule(seconds=st.sampled_from([1, 6, 20, 90, 400]))
    def wait(self, seconds: int) -> None:
        self.do(self.world.advance(seconds))
        self._look()

    @rule()
    def crash(self) -> None:
        """Kill the server; another one goes on with what is stored."""

        async def work() -> None:
            for device in self.devices:
                device.crashed()
            for observer in self.observers.values():
                observer.forget()
            await self.world.restart(await self.open())

        self.do(work())

    # --- forgetting

    @rule(account=accounts, keep=st.integers(0, 12), limit=st.integers(1, 5))
    def trim(self, account: str, keep: int, limit: int) -> None:
        async def work() -> None:
            while await self.ledger.trim(Jid(account), keep=keep, limit=limit):
                pass

        self.do(work())
        self.model.archives[account].trim(keep)

    @rule(account=accounts, index=indexes, everywhere=st.booleans())
    def erase(self, account: str, index: int, everywhere: bool) -> None:
        archive = self.model.archives[account]
        if not archive.kept:
            return
        item = archive.kept[-1 - index % len(archive.kept)]

        async def work() -> None:
            if everywhere:
                query = PageQuery(above=item.position - 1, limit=1, tombstones=True)
                [entry] = (await self.ledger.page(Jid(account), query)).entries
                await self.ledger.erase_everywhere(entry.id, Jid(account))
            else:
                await self.ledger.erase(Jid(account), (item.position,))

        self.do(work())
        archive.erase([item])
        if everywhere:
            for other, place in self.model.places(item.message):
                other.erase([place])

    @rule(account=accounts, peer=peers)
    def erase_a_conversation(self, account: str, peer: str) -> None:
        async def work() -> None:
            while await self.ledger.erase_conversation(Jid(account), Jid(peer), limit=2):
                pass

        self.do(work())
        self.model.archives[account].erase_conversation(peer)

    @rule()
    def begin_a_new_incarnation(self) -> None:
        self.do(self.ledger.renew())
        self.model.era += 1

    # --- comparing

    @rule(account=accounts)
    def compare(self, account: str) -> None:
        self.do(self._compare(account))

    async def _compare(self, account: str) -> None:
        await self.observers[account].compare()
        for device in self.devices:
            if device.way.account == account and device.is_connected:
                await self._compare_device(device)

    async def _compare_device(self, device: Device) -> None:
        """Let a device come to rest: it has all that is meant for it then."""
        await device.come()
        await device.answer_all()
        archive = device.archive
        meant = {
            item.position
            for item in archive.kept
            if not item.is_sent and not item.is_erased and item.resource in {"", device.way.name}
            if item.is_shown or not device.way.pulls
            if device.way.pulls or not archive.is_taken_back(item)
            if device.way.pulls != "sync" or item.position > device.replica.since
        }
        assert meant <= device.got, f"{device} misses {meant - device.got}"
        if device.way.pulls == "sync":
            device.replica.check(archive)

    async def _compare_everything(self) -> None:
        for account in ACCOUNTS:
            await self._compare(account)
        for message in self.model.said:
            assert self.model.is_stored(message)
