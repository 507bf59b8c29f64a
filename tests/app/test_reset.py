"""A server for test suites forgets everything when the last session has ended."""

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql.ledger import open_memory_ledger
from tidings.app.compose import HostSettings, build_server
from tidings.app.reset import Refill, ResetWhenEmpty
from tidings.base.jid import Jid
from tidings.kernel.accounts import make_first_accounts

ADMIN, ALICE, BOB = Jid("admin@localhost"), Jid("alice@localhost"), Jid("bob@other.test")


async def test_it_begins_anew_when_nobody_is_left():
    ledger = await open_memory_ledger()
    stores = MemoryStores(ledger, ledger.close)

    clock = VirtualClock()

    def build(stores):
        refill = Refill(lambda: make_first_accounts(context.accounts, [(ADMIN, "secret")]))
        plans = [HostSettings(domain="localhost"), HostSettings(domain="other.test")]
        features = (ResetWhenEmpty,)
        server, context = build_server(plans, stores, clock, features=features, provides={Refill: refill})
        return server, context

    world = World(stores, clock, build)
    await world.server.start()
    alice, bob = await world.login(f"{ALICE}/a"), await world.login(f"{BOB}/b")
    await alice.send(f"<message to='{BOB}' type='chat'><body>kept for now</body></message>")
    await alice.leave()
    assert await stores.accounts.exists(ALICE)
    assert await ledger.ends(BOB) is not None
    await bob.leave()
    assert not await stores.accounts.exists(ALICE)
    assert not await stores.accounts.exists(BOB)
    assert await ledger.ends(BOB) is None
    assert await ledger.ends(ALICE) is None
    assert await world.context.accounts.has_password(ADMIN, "secret")
    await world.stop()
