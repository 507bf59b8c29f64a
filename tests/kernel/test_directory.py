"""Who is in memory, and what asking for somebody who does not exist costs."""

from __future__ import annotations

from collections import Counter

from tests.harness.world import World
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.archive_view import ArchiveView
from tidings.kernel.directory import Directory
from tidings.kernel.entity import Entity
from tidings.kernel.slots import Slot
from tidings.ports.ledger.reading import Archived

ALICE = Jid("alice@localhost")
NOBODY = Jid("nobody@localhost")
NAME: Slot[str] = Slot("test.name", default="")
BLOCKED: Slot[str] = Slot("test.blocked", default="nothing", is_guarded=True)


class People:
    """A kind of entity whose store counts what it is asked."""

    name = "account"
    identity = ("account", "registered")
    host_identity = ("server", "im")

    def __init__(self, *there: Jid) -> None:
        self.there = set(there)
        self.asked: Counter[tuple[str, Jid]] = Counter()

    async def exists(self, jid: Jid) -> bool:
        self.asked["exists", jid] += 1
        return jid in self.there

    def make(self, jid: Jid, *, exists: bool) -> Account:
        return Account(jid, exists=exists)

    def address(self, jid: Jid) -> Jid:
        return jid

    def shown(self, entry: Archived, body: bytes) -> bytes:  # whatever it is
        return body

    async def archive_view(self, entity: Entity, asker: Jid) -> ArchiveView:
        raise StanzaError("not-allowed")

    async def version(self, jid: Jid) -> int:
        self.asked["version", jid] += 1
        return 7

    async def load_name(self, jid: Jid) -> str:
        self.asked["name", jid] += 1
        return jid.local

    async def load_blocked(self, jid: Jid) -> str:
        self.asked["blocked", jid] += 1
        return f"whom {jid.local} blocks"


def directory_of(people: People, limit: int = 3) -> Directory[Account]:
    directory: Directory[Account] = Directory(people, limit, people.version)
    directory.add_loader(NAME, people.load_name)
    directory.add_loader(BLOCKED, people.load_blocked)
    return directory


async def test_who_does_not_exist_is_asked_for_once_and_little_is_loaded() -> None:
    people = People(ALICE)
    directory = directory_of(people)
    for _ in range(3):
        nobody = await directory.load(NOBODY)
        assert (nobody.exists, nobody[NAME], nobody[BLOCKED]) == (False, "nobody", "nothing")
    assert people.asked == {("exists", NOBODY): 1, ("name", NOBODY): 1}
    alice = await directory.load(ALICE)
    assert (alice[NAME], alice[BLOCKED], alice.archive_version) == ("alice", "whom alice blocks", 7)


async def test_who_is_made_is_loaded_anew() -> None:
    people = People()
    directory = directory_of(people)
    assert not (await directory.load(NOBODY)).exists
    people.there.add(NOBODY)
    directory.forget(NOBODY)
    somebody = await directory.load(NOBODY)
    assert (somebody.exists, somebody[BLOCKED], somebody.archive_version) == (True, "whom nobody blocks", 7)


async def test_who_is_told_to_exist_by_another_node_gets_what_guards_read() -> None:
    people = People()
    directory = directory_of(people)
    somebody = await directory.load(NOBODY)
    people.there.add(NOBODY)
    await directory.reload(somebody, "")
    assert (somebody.exists, somebody[BLOCKED], somebody.archive_version) == (True, "whom nobody blocks", 7)


async def test_strangers_put_nobody_out_of_memory_by_asking_for_those_who_do_not_exist() -> None:
    people = People(ALICE)
    directory = directory_of(people)
    alice = await directory.load(ALICE)
    for number in range(3_000):
        await directory.load(Jid(f"nobody{number}@localhost"))
    assert await directory.load(ALICE) is alice
    remembered = sum(directory.get(Jid(f"nobody{number}@localhost")) is not None for number in range(3_000))
    assert 0 < remembered <= 1_000


async def test_an_account_that_is_made_after_a_message_to_it_gets_the_next_one(world: World) -> None:
    alice = await world.online("alice@localhost/x")
    await alice.send("<message to='late@localhost' type='chat' id='1'><body>too early</body></message>")
    [refused] = alice.take("message")
    assert refused.get("type") == "error"
    late = await world.online("late@localhost/x")
    await alice.send("<message to='late@localhost' type='chat' id='2'><body>now</body></message>")
    assert [message.get("id") for message in late.take("message")] == ["2"]
