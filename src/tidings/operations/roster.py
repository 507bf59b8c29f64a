"""Operations on rosters: an account's contacts, who of them sees whose presence, and changing that."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.contacts.book import Arrangement
from tidings.operations import contact_book
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context, Role
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Address, Page
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.roster import RosterEntry, Subscription

MOST: Final = 5_000
"""The most contacts that one page lists."""

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]
Contact = Annotated[Address, Meta(description="Address of the contact, here or on another server.")]
Who = Literal["none", "to", "from", "both"]


class ListContacts(msgspec.Struct, frozen=True, kw_only=True):
    """Whose contacts."""

    user: User
    after: Annotated[
        str | None, Meta(description="Begin behind this contact: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST, description="The most contacts to list.")] = 1000


class ContactInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of an account (RFC 6121 §2.1.2).

    `subscription` is who sees whose presence, from the account's side. `asks`: the account waits for the
    contact's answer; `approved`: the contact need not wait for the account's. `shared` are the labels of the
    shared groups by which it is a contact, whatever the account does.
    """

    contact: Address
    name: str
    groups: tuple[str, ...]
    subscription: Who
    asks: bool
    approved: bool
    shared: tuple[str, ...] = ()


@operation("roster", "list", roles=EVERYBODY, subjects=("user",), changes=False)
async def list_contacts(context: Context, request: ListContacts) -> Page[ContactInfo]:
    """List the contacts of an account by address, a page at a time."""
    await _must_exist(context, request.user)
    found = await contact_book.shown(context, request.user)
    left = [each for each in found if request.after is None or each[0].jid.text > request.after]
    page = left[: request.limit]
    items = tuple(_describe(entry, labels) for entry, labels in page)
    return Page(items=items, next=items[-1].contact.text if len(left) > len(page) else None)


class AddContact(msgspec.Struct, frozen=True, kw_only=True):
    """The contact, and how it is to stand on the roster; what is left out stays as it is."""

    user: User
    contact: Contact
    name: Annotated[
        Annotated[str, Meta(max_length=1023)] | None, Meta(description="Name that the account's owner sees.")
    ] = None
    groups: Annotated[
        tuple[Annotated[str, Meta(max_length=1023)], ...],
        Meta(max_length=50, description="Groups of the contact, in place of those before."),
    ] = ()
    subscription: Annotated[
        Who | None,
        Meta(
            description="Who sees whose presence: to is the account that of the contact, from the other way."
        ),
    ] = None
    both_sides: Annotated[
        bool, Meta(description="Put the account on the roster of the contact, too, the other way round.")
    ] = False


class ContactChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The account whose roster was changed, and the contact."""

    user: AccountAddress
    contact: Address


@operation("roster", "add", roles=EVERYBODY, subjects=("user",), changes=True, errors=("not-found",))
async def add(context: Context, request: AddContact) -> ContactChanged:
    """Put a contact on the roster of an account, or change how it stands there.

    Its clients are told at once, and those who see each other's presence now do. The roster of the contact
    stays as it is, unless both are to change: whoever is to see somebody must be let by that one's, too.
    Users ask for a subscription in their client, where the other side is asked.
    """
    contact = request.contact.bare
    if contact == request.user:
        raise OperationError("invalid", f"{contact} is the account itself")
    if context.caller.role is Role.USER and request.subscription is not None:
        raise OperationError("not-allowed", "a subscription is asked for in a client, so that both agree")
    await _must_exist(context, request.user)
    if request.both_sides:
        context.require(contact)
        await _must_exist(context, contact)
    subscription = None if request.subscription is None else Subscription(request.subscription)
    wanted = Arrangement(
        contact=contact,
        name=request.name,
        groups=frozenset(request.groups) if request.groups else None,
        subscription=subscription,
    )
    sides = [(request.user, wanted)]
    if request.both_sides:
        mirrored = None if subscription is None else _mirrored(subscription)
        sides.append((contact, Arrangement(contact=request.user, subscription=mirrored)))
    await contact_book.arrange(context, *sides)
    return ContactChanged(user=request.user, contact=contact)


class RemoveContact(msgspec.Struct, frozen=True, kw_only=True):
    """The contact that is to go."""

    user: User
    contact: Contact


@operation("roster", "remove", roles=EVERYBODY, subjects=("user",), changes=True, errors=("not-found",))
async def remove(context: Context, request: RemoveContact) -> ContactChanged:
    """Take a contact off the roster of an account, and end the subscriptions of both.

    Its clients are told at once, and so is the contact; without a running server, the contact is not.
    """
    await _must_exist(context, request.user)
    contact = request.contact.bare
    await contact_book.remove(context, request.user, contact)
    return ContactChanged(user=request.user, contact=contact)


async def _must_exist(context: Context, jid: Jid) -> None:
    if not await context.stores.accounts.exists(jid):
        raise NoSuchAccount(jid)


def _mirrored(subscription: Subscription) -> Subscription:
    return Subscription.of(to=subscription.has_from, from_=subscription.has_to)


def _describe(entry: RosterEntry, labels: frozenset[str]) -> ContactInfo:
    return ContactInfo(
        contact=entry.jid,
        name=entry.name,
        groups=tuple(sorted(entry.groups)),
        subscription=entry.subscription.value,
        asks=entry.ask,
        approved=entry.approved,
        shared=tuple(sorted(labels)),
    )


OPERATIONS = (list_contacts, add, remove)
