"""Invitations over every store: no use is counted twice or lost, whoever comes at the same time."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.samples import ALICE
from tests.harness.clock import VirtualClock
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.invitations import InvitationRefused, Invitations
from tidings.ports.stores import Stores

HOST = Jid(ALICE.domain)
DAY = 86_400.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def invitations(stores: Stores, clock: VirtualClock) -> Invitations:
    return Invitations(stores.documents, stores.accounts, clock)


async def test_an_invitation_is_found_by_its_token_alone(invitations: Invitations) -> None:
    made, token = await invitations.create(HOST, seconds=DAY, name="bob", by="operator")
    assert await invitations.find(HOST, token) == made
    for wrong in (token[:-1], token + "a", token.upper(), made.id, ""):
        with pytest.raises(InvitationRefused):
            await invitations.find(HOST, wrong)
    with pytest.raises(InvitationRefused):
        await invitations.find(Jid("elsewhere.example"), token)


async def test_all_who_come_at_once_use_it_as_often_as_it_says(invitations: Invitations) -> None:
    made, token = await invitations.create(HOST, seconds=DAY, uses=5)
    results = await asyncio.gather(*(invitations.take(HOST, made) for _ in range(8)), return_exceptions=True)
    assert results.count(None) == 5
    assert sum(isinstance(result, InvitationRefused) for result in results) == 3
    with pytest.raises(InvitationRefused):
        await invitations.find(HOST, token)
    await invitations.give_back(HOST, made)
    assert (await invitations.find(HOST, token)).used == 4


async def test_a_name_is_promised_to_one(invitations: Invitations, clock: VirtualClock) -> None:
    results = await asyncio.gather(
        *(invitations.create(HOST, seconds=DAY, name="bob") for _ in range(4)), return_exceptions=True
    )
    refusals = [result for result in results if isinstance(result, StanzaError)]
    assert [refusal.condition for refusal in refusals] == ["conflict"] * 3
    holder = await invitations.holder(Jid.of("bob", HOST.domain))
    assert holder is not None
    assert await invitations.revoke(HOST, holder.id)
    assert await invitations.holder(Jid.of("bob", HOST.domain)) is None
    await invitations.create(HOST, seconds=DAY, name="bob")
    clock.advance(DAY)
    assert await invitations.holder(Jid.of("bob", HOST.domain)) is None


async def test_many_are_made_at_once_each_for_its_name(invitations: Invitations, clock: VirtualClock) -> None:
    names = [f"user{number}" for number in range(120)]
    made = await invitations.create_all(HOST, names, seconds=DAY, by="operator")
    assert set(made) == set(names)
    for name, (invitation, token) in made.items():
        assert (invitation.name, invitation.uses, invitation.by) == (name, 1, "operator")
        assert await invitations.find(HOST, token) == invitation
    assert await invitations.holder(Jid.of("user7", HOST.domain)) == made["user7"][0]
    held = {name: invitation for name, (invitation, _) in made.items()}
    assert await invitations.holders(HOST, [*names, "nobody"]) == held
    with pytest.raises(StanzaError) as caught:
        await invitations.create_all(HOST, ["another", "user7"], seconds=DAY)
    assert caught.value.condition == "conflict"
    assert await invitations.holder(Jid.of("another", HOST.domain)) is None
    await invitations.take(HOST, made["user7"][0])
    assert set(await invitations.holders(HOST, names)) == {*names} - {"user7"}
    clock.advance(DAY)
    assert await invitations.holders(HOST, names) == {}


async def test_they_go_with_their_domain(stores: Stores, invitations: Invitations) -> None:
    _, token = await invitations.create(HOST, seconds=DAY, name="bob")
    await stores.documents.clear(HOST)
    with pytest.raises(InvitationRefused):
        await invitations.find(HOST, token)
    assert await invitations.holder(Jid.of("bob", HOST.domain)) is None
