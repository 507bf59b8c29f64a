"""The contract of the renaming port; every adapter passes it."""

from __future__ import annotations

import pytest

from tests.contracts.samples import ALICE, BOB, LONGEST, keys
from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.ports.accounts import (
    AccountExists,
    AccountRecord,
    Ban,
    FastToken,
    NoSuchAccount,
    Promotion,
    Removal,
)
from tidings.ports.displayed import Displayed
from tidings.ports.groups import Member, SharedGroup
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch
from tidings.ports.ledger.reading import ArchiveInUse
from tidings.ports.nodes import (
    Affiliation,
    ItemQuery,
    NodeConfig,
    NodeItem,
    NodeLimits,
    SubscriptionState,
)
from tidings.ports.nodes import (
    Subscription as NodeSubscription,
)
from tidings.ports.preferences import StoredPreferences
from tidings.ports.renaming import Renamed
from tidings.ports.roster import RosterChange, RosterEntry, RosterRemoval, Subscription
from tidings.ports.stores import Stores
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault

SMITH = Jid("alice.smith@example.org")
CAROL = Jid("carol@example.org")
FAR = Jid("far@elsewhere.test")
LOCAL = ("example.org", "other.test")
TOKEN = FastToken(device="phone", mechanism="HT-SHA-256-NONE", digest=b"\x00" * 32, expires=1e10)


async def rename(stores: Stores, account: Jid = ALICE, to: Jid = SMITH) -> Renamed:
    return await stores.renaming.rename(account, to, local=LOCAL, noted=5.0)


@pytest.fixture
async def filled(stores: Stores) -> Stores:
    """Alice has something of everything; Bob and Carol are there."""
    record = AccountRecord(
        jid=ALICE,
        keys=keys("SCRAM-SHA-256", "SCRAM-SHA-1"),
        created=1.0,
        ban=Ban("spam", 2.0),
        last_activity=3.0,
        last_status="bye",
        removal=Removal(4.0, 1e10),
    )
    await stores.accounts.create_all([record])
    for other in (BOB, CAROL):
        await stores.accounts.create(other, (), 1.0)
    await stores.accounts.store_token(ALICE, TOKEN)
    await stores.accounts.promote(Promotion(jid=ALICE, domain="", since=1.0, by="operator"))
    await stores.private.put(ALICE, "ns", "name", b"<private/>")
    await stores.vcards.put(ALICE, b"<vCard/>")
    await stores.blocking.add(ALICE, [FAR])
    await stores.preferences.put(ALICE, StoredPreferences(ArchiveDefault.ROSTER, (BOB,)))
    await stores.displayed.put(ALICE, Displayed(BOB, "id", ALICE), chats=10, octets=10_000)
    await stores.documents.put(ALICE, "ns", "key", b"value", expected=None)
    await stores.roster.put(ALICE, RosterEntry(jid=BOB, name="Bob"))
    return stores


async def test_everything_of_the_account_has_the_new_address(filled: Stores) -> None:
    before, version = await filled.accounts.get(ALICE), (await filled.roster.load(ALICE)).version
    assert before is not None
    await rename(filled)
    after = await filled.accounts.get(SMITH)
    assert after is not None
    assert (after.jid, after.keys, after.created, after.ban) == (SMITH, before.keys, 1.0, before.ban)
    assert (after.last_activity, after.last_status, after.removal) == (3.0, "bye", before.removal)
    assert await filled.accounts.tokens(SMITH, "phone") == (TOKEN,)
    assert await filled.accounts.promotions() == (Promotion(jid=SMITH, domain="", since=1.0, by="operator"),)
    assert await filled.private.get(SMITH, "ns", "name") == b"<private/>"
    assert await filled.vcards.get(SMITH) == b"<vCard/>"
    assert await filled.blocking.list(SMITH) == {FAR}
    assert await filled.preferences.get(SMITH) == StoredPreferences(ArchiveDefault.ROSTER, (BOB,))
    assert await filled.displayed.list(SMITH) == (Displayed(BOB, "id", SMITH),)
    document = await filled.documents.get(SMITH, "ns", "key")
    assert document is not None
    assert document.value == b"value"
    roster = await filled.roster.load(SMITH)
    assert (roster.version, roster.entries) == (version, (RosterEntry(jid=BOB, name="Bob"),))
    assert await filled.accounts.list("example.org") == (SMITH, BOB, CAROL)


async def test_nothing_is_left_under_the_former_address(filled: Stores) -> None:
    await rename(filled)
    assert await filled.accounts.get(ALICE) is None
    assert await filled.accounts.tokens(ALICE, "phone") == ()
    await filled.accounts.create(ALICE, (), 9.0)
    assert (await filled.roster.load(ALICE)).entries == ()
    assert await filled.vcards.get(ALICE) is None
    assert await filled.private.get(ALICE, "ns", "name") is None
    assert await filled.blocking.list(ALICE) == frozenset()
    assert await filled.documents.get(ALICE, "ns", "key") is None
    assert await filled.displayed.list(ALICE) == ()
    assert await filled.preferences.get(ALICE) is None


async def test_nodes_move_and_so_does_whoever_is_affiliated_and_subscribed(filled: Stores) -> None:
    limits, nodes = NodeLimits(nodes=9, items=9, octets=9_999), filled.nodes

    async def publish(owner: Jid, publisher: Jid) -> None:
        item = NodeItem("i", publisher, 1.0, b"<x/>")
        await nodes.publish(
            owner, "n", item, make=NodeConfig(title="t"), check=lambda *_: None, limits=limits
        )

    await publish(ALICE, ALICE)
    await publish(BOB, ALICE)
    for name in (ALICE.with_resource("phone"), CAROL):
        each = NodeSubscription(name, SubscriptionState.SUBSCRIBED, name.resource, 1.0)
        await nodes.subscribe(BOB, "n", each, by=name, check=lambda *_: None, most=9)
    await rename(filled)
    assert await nodes.list(ALICE) == ()
    (node,) = await nodes.list(SMITH)
    assert (node.owner, node.name, node.config.title) == (SMITH, "n", "t")
    for owner in (SMITH, BOB):
        (item,) = (await nodes.items(owner, "n", ItemQuery())).items
        assert item.publisher == SMITH
    assert await nodes.affiliations(BOB, "n") == {SMITH: Affiliation.OWNER}
    names = {each.jid for each in await nodes.subscriptions(BOB, "n")}
    assert names == {SMITH.with_resource("phone"), CAROL}
    found = await nodes.standing(BOB, "n", SMITH)
    assert found is not None
    assert found[1].is_subscribed


async def test_the_former_name_is_noted_and_the_new_one_is_nobodys_any_more(filled: Stores) -> None:
    await filled.accounts.create(SMITH, (), 1.0)
    await filled.accounts.remove(SMITH, noted=2.0)
    await filled.documents.put(SMITH, "ns", "key", b"of nobody", expected=None)
    await rename(filled)
    assert await filled.removals.former([ALICE, SMITH]) == {ALICE: 5.0}
    document = await filled.documents.get(SMITH, "ns", "key")
    assert document is not None
    assert document.value == b"value"


async def test_rosters_of_others_have_the_new_address_in_its_place(filled: Stores) -> None:
    entry = RosterEntry(jid=ALICE, name="Al", groups=frozenset({"Work"}), subscription=Subscription.BOTH)
    version = await filled.roster.put(BOB, entry)
    await filled.roster.put(CAROL, RosterEntry(jid=BOB))
    assert (await rename(filled)).rosters == (BOB,)
    roster = await filled.roster.load(BOB)
    moved = RosterEntry(jid=SMITH, name="Al", groups=frozenset({"Work"}), subscription=Subscription.BOTH)
    assert roster.entries == (moved,)
    changes = await filled.roster.changes_since(BOB, version)
    assert changes is not None
    assert [change.contact for change in changes] == [RosterRemoval(ALICE), moved]
    assert changes[-1] == RosterChange(roster.version, moved)
    assert (await filled.roster.load(CAROL)).entries == (RosterEntry(jid=BOB),)


async def test_what_somebody_had_of_the_new_address_gives_way_to_the_contact(filled: Stores) -> None:
    await filled.roster.put(BOB, RosterEntry(jid=SMITH, name="nobody yet", ask=True))
    await filled.roster.put(BOB, RosterEntry(jid=ALICE, name="Al", subscription=Subscription.TO))
    await rename(filled)
    assert (await filled.roster.load(BOB)).entries == (
        RosterEntry(jid=SMITH, name="Al", subscription=Subscription.TO),
    )


async def test_requests_that_wait_are_those_of_the_new_address(filled: Stores) -> None:
    asked = b'<presence from="alice@example.org" to="bob@example.org" type="subscribe"/>'
    await filled.roster.put(BOB, RosterEntry(jid=ALICE, listed=False, pending_in=asked))
    asks = b'<presence from="carol@example.org" to="alice@example.org" type="subscribe"/>'
    await filled.roster.put(ALICE, RosterEntry(jid=CAROL, listed=False, pending_in=asks))
    await rename(filled)
    [entry] = (await filled.roster.load(BOB)).entries
    assert entry.pending_in == asked.replace(b"alice@", b"alice.smith@")
    entries = {each.jid: each for each in (await filled.roster.load(SMITH)).entries}
    assert entries[CAROL].pending_in == asks.replace(b"alice@", b"alice.smith@")


async def test_contacts_elsewhere_stay_without_a_subscription(filled: Stores) -> None:
    await filled.roster.put(ALICE, RosterEntry(jid=FAR, name="Far", subscription=Subscription.BOTH))
    asked = Jid("asked@elsewhere.test")
    await filled.roster.put(ALICE, RosterEntry(jid=asked, listed=False, pending_in=b"<presence/>"))
    await rename(filled)
    entries = {each.jid: each for each in (await filled.roster.load(SMITH)).entries}
    assert entries == {BOB: RosterEntry(jid=BOB, name="Bob"), FAR: RosterEntry(jid=FAR, name="Far")}


async def test_who_is_blocked_stays_blocked(filled: Stores) -> None:
    similar = Jid("malice@example.org")
    await filled.blocking.add(BOB, [ALICE, ALICE.with_resource("phone"), FAR])
    await filled.blocking.add(CAROL, [similar, Jid("example.org")])
    assert (await rename(filled)).blocking == (BOB,)
    assert await filled.blocking.list(BOB) == {SMITH, SMITH.with_resource("phone"), FAR}
    assert await filled.blocking.list(CAROL) == {similar, Jid("example.org")}


async def test_archive_preferences_of_others_name_the_new_address(filled: Stores) -> None:
    never = ArchiveDefault.NEVER
    await filled.preferences.put(BOB, StoredPreferences(never, (FAR, ALICE), (ALICE.with_resource("phone"),)))
    await filled.preferences.put(CAROL, StoredPreferences(never, (Jid("malice@example.org"),)))
    assert (await rename(filled)).preferences == (BOB,)
    assert await filled.preferences.get(BOB) == StoredPreferences(
        never, (FAR, SMITH), (SMITH.with_resource("phone"),)
    )
    assert await filled.preferences.get(CAROL) == StoredPreferences(never, (Jid("malice@example.org"),))


async def test_read_positions_of_others_are_of_the_chat_with_the_new_address(filled: Stores) -> None:
    await filled.displayed.put(BOB, Displayed(SMITH, "older", BOB), chats=10, octets=10_000)
    await filled.displayed.put(BOB, Displayed(ALICE, "newer", BOB), chats=10, octets=10_000)
    await filled.displayed.put(CAROL, Displayed(SMITH, "carol's", CAROL), chats=10, octets=10_000)
    await rename(filled)
    assert await filled.displayed.list(BOB) == (Displayed(SMITH, "newer", BOB),)
    assert await filled.displayed.list(CAROL) == (Displayed(SMITH, "carol's", CAROL),)


async def test_shared_groups_have_the_new_address(filled: Stores) -> None:
    await filled.groups.create("example.org", SharedGroup(name="work", label="Work"))
    await filled.groups.create("example.org", SharedGroup(name="all", label="All", for_everybody=True))
    await filled.groups.add("example.org", "work", [Member(ALICE, "Al"), Member(BOB)])
    before = await filled.groups.load("example.org")
    await rename(filled)
    after = await filled.groups.load("example.org")
    present = {(each.group, each.jid, each.name) for each in after.memberships if not each.removed}
    assert present == {
        ("work", SMITH, "Al"),
        ("work", BOB, ""),
        ("all", SMITH, ""),
        ("all", BOB, ""),
        ("all", CAROL, ""),
    }
    changed = (await filled.groups.load("example.org", since=before.number)).memberships
    assert {(each.jid, each.removed) for each in changed} == {(ALICE, True), (SMITH, False)}


async def test_another_domain_has_groups_of_its_own(filled: Stores) -> None:
    to = Jid("alice@other.test")
    await filled.groups.create("example.org", SharedGroup(name="work", label="Work"))
    await filled.groups.add("example.org", "work", [Member(ALICE)])
    await filled.groups.create("other.test", SharedGroup(name="all", label="All", for_everybody=True))
    await rename(filled, to=to)
    assert await filled.accounts.list("other.test") == (to,)
    for domain, expected in (("example.org", []), ("other.test", [to])):
        found = (await filled.groups.load(domain)).memberships
        assert [each.jid for each in found if not each.removed] == expected


async def test_what_cannot_be_renamed_stays_as_it_is(filled: Stores) -> None:
    before = await filled.accounts.get(ALICE)
    with pytest.raises(AccountExists):
        await rename(filled, to=BOB)
    with pytest.raises(NoSuchAccount):
        await rename(filled, Jid("nobody@example.org"))
    assert await filled.accounts.get(ALICE) == before
    assert await filled.accounts.tokens(ALICE, "phone") == (TOKEN,)
    assert await filled.removals.former([ALICE]) == {}


async def test_the_longest_address_is_renamed_to(filled: Stores) -> None:
    await filled.roster.put(BOB, RosterEntry(jid=ALICE))
    await rename(filled, to=LONGEST)
    assert await filled.accounts.exists(LONGEST)
    assert (await filled.roster.load(BOB)).entries == (RosterEntry(jid=LONGEST),)


async def test_all_is_renamed_or_nothing(fresh_url: str) -> None:
    """The archive is asked last, when all tables of the account have been written."""
    stores = await open_stores(fresh_url)
    await stores.accounts.create(ALICE, keys("SCRAM-SHA-256"), 1.0)
    await stores.accounts.create(BOB, (), 1.0)
    await stores.roster.put(BOB, RosterEntry(jid=ALICE))
    assert stores.ledger is not None
    held = Append(body=b"<message/>", entries=(Entry(archive=SMITH, peer=BOB),))
    await stores.ledger.commit(LedgerBatch(appends=(held,)))
    with pytest.raises(ArchiveInUse):
        await rename(stores)
    assert await stores.accounts.existing([ALICE, SMITH]) == {ALICE}
    assert (await stores.roster.load(BOB)).entries == (RosterEntry(jid=ALICE),)
    assert await stores.removals.former([ALICE]) == {}
    while await stores.ledger.forget_account(SMITH):
        pass
    await rename(stores)
    assert await stores.accounts.existing([ALICE, SMITH]) == {SMITH}
    await stores.close()


async def test_nobody_forgets_what_was_renamed_to_a_free_name(fresh_url: str) -> None:
    """Whoever has seen that there is no account of a name may be late with forgetting its archive."""
    stores = await open_stores(fresh_url)
    await stores.accounts.create(ALICE, (), 1.0)
    assert stores.ledger is not None
    message = Append(body=b"<message/>", entries=(Entry(archive=ALICE, peer=BOB),))
    await stores.ledger.commit(LedgerBatch(appends=(message,)))
    await rename(stores)
    assert await stores.ledger.forget_account(SMITH, unless_owned=True) == 0
    head = await stores.ledger.head(SMITH)
    assert (head.first, head.position) == (1, 1)
    await stores.accounts.remove(SMITH)
    while await stores.ledger.forget_account(SMITH, unless_owned=True):
        pass
    assert (await stores.ledger.head(SMITH)).first == 2
    await stores.close()
