"""Operations on shared groups: accounts of a domain that are on each other's rosters without asking."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.features.contacts import SharedGroups
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AUDITED, AccountAddress, Domain, Page
from tidings.ports.groups import LONGEST_NAME, MOST_MEMBERS, Member, Membership, NoSuchGroup, SharedGroup

_LABEL_OCTETS: Final = 1_023
_MOST_DISPLAYED: Final = 50

OfDomain = Annotated[Domain, Meta(description="Domain whose accounts are in the group.")]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST_NAME,
        description="Name of the group among those of its domain; it never changes.",
        extra=AUDITED,
    ),
]
Label = Annotated[str, Meta(max_length=_LABEL_OCTETS)]
Description = Annotated[str, Meta(max_length=1000)]
Displayed = Annotated[
    tuple[Annotated[str, Meta(max_length=LONGEST_NAME)], ...],
    Meta(
        max_length=_MOST_DISPLAYED,
        description="Other groups of the domain whose members are on the rosters of the members of this one.",
    ),
]
Users = Annotated[
    tuple[AccountAddress, ...],
    Meta(min_length=1, max_length=MOST_MEMBERS, description="Accounts of the domain."),
]


class CreateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The group to make."""

    domain: OfDomain
    group: Name
    label: Annotated[
        Label,
        Meta(description="What clients show as the group of its members; without it, the name."),
    ] = ""
    description: Annotated[Description, Meta(description="What it is for, for operators.")] = ""
    everybody: Annotated[
        bool, Meta(description="Have all accounts of the domain in it, those to come included.")
    ] = False
    displayed: Displayed = ()


class ChangeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The group, and what is to be different; what is left out stays as it is."""

    domain: OfDomain
    group: Name
    label: Annotated[Label | None, Meta(description="What clients show as the group of its members.")] = None
    description: Annotated[Description | None, Meta(description="What it is for, for operators.")] = None
    everybody: Annotated[
        bool | None,
        Meta(
            description="Have all accounts of the domain in it, those to come included. Without it any more, "
            "its members stay."
        ),
    ] = None
    displayed: Annotated[Displayed | None, Meta(description="Other groups, in place of those before.")] = None


class OneGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The group that is meant."""

    domain: OfDomain
    group: Name


class ListGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Whose groups."""

    domain: Annotated[Domain, Meta(description="Domain to look at.")]


class ShowGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Whose members to list."""

    domain: OfDomain
    group: Name
    after: Annotated[
        str | None, Meta(description="Begin behind this account: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=MOST_MEMBERS, description="The most members to list.")] = 1000


class AddMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be in the group."""

    domain: OfDomain
    group: Name
    users: Users
    name: Annotated[
        Annotated[str, Meta(max_length=_LABEL_OCTETS)] | None,
        Meta(
            description="How the rosters of the others call the one account; without it, the first part of "
            "its address."
        ),
    ] = None


class DropMembers(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be in the group no more."""

    domain: OfDomain
    group: Name
    users: Users


class GroupInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A group, and how many are in it.

    `everybody`: all accounts of the domain are in it. `displayed` are the groups whose members are on the
    rosters of its members, too.
    """

    group: str
    label: str
    members: int
    everybody: bool
    displayed: tuple[str, ...]
    description: str


class MemberInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a group, and how the rosters of the others call it."""

    user: AccountAddress
    name: str


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """The group, and how many members have come, gone or got another name."""

    domain: Domain
    group: str
    changed: int = 0


@operation("group", "create", roles=ADMINISTRATORS, subjects=("domain",), changes=True, errors=("conflict",))
async def create(context: Context, request: CreateGroup) -> GroupInfo:
    """Make a group, whose members will be on each other's rosters and see each other, without being asked."""
    _check(request.group, request.label)
    made = SharedGroup(
        name=request.group,
        label=request.label or request.group,
        description=request.description,
        for_everybody=request.everybody,
        displayed=await _displayed(context, request.domain, request.group, request.displayed),
    )
    await context.stores.groups.create(request.domain.domain, made)
    await _tell(context, request.domain)
    return await _info(context, request.domain, request.group)


@operation("group", "change", roles=ADMINISTRATORS, subjects=("domain",), changes=True, errors=("not-found",))
async def change(context: Context, request: ChangeGroup) -> GroupInfo:
    """Change a group; clients that are connected are told at once."""
    _check(request.group, request.label or "")
    before, _ = await _find(context, request.domain, request.group)
    displayed = before.displayed
    if request.displayed is not None:
        displayed = await _displayed(context, request.domain, request.group, request.displayed)
    after = msgspec.structs.replace(
        before,
        label=before.label if request.label is None else request.label or before.name,
        description=before.description if request.description is None else request.description,
        for_everybody=before.for_everybody if request.everybody is None else request.everybody,
        displayed=displayed,
    )
    await context.stores.groups.change(request.domain.domain, after)
    await _tell(context, request.domain)
    return await _info(context, request.domain, request.group)


@operation("group", "remove", roles=ADMINISTRATORS, subjects=("domain",), changes=True, errors=("not-found",))
async def remove(context: Context, request: OneGroup) -> Changed:
    """Remove a group. Its members are taken from each other's rosters, but for contacts of their own."""
    _, members = await _find(context, request.domain, request.group)
    await context.stores.groups.remove(request.domain.domain, request.group)
    await _tell(context, request.domain)
    return Changed(domain=request.domain, group=request.group, changed=len(members))


@operation("group", "list", roles=ADMINISTRATORS, subjects=("domain",), changes=False)
async def list_groups(context: Context, request: ListGroups) -> Page[GroupInfo]:
    """List the groups of a domain."""
    state = await context.stores.groups.load(request.domain.domain)
    sizes: dict[str, int] = {}
    for each in state.memberships:
        sizes[each.group] = sizes.get(each.group, 0) + (not each.removed)
    return Page(items=tuple(_describe(each, sizes.get(each.name, 0)) for each in state.groups))


@operation("group", "show", roles=ADMINISTRATORS, subjects=("domain",), changes=False, errors=("not-found",))
async def show(context: Context, request: ShowGroup) -> Page[MemberInfo]:
    """List the members of a group by address, a page at a time."""
    _, members = await _find(context, request.domain, request.group)
    left = sorted(
        (each for each in members if request.after is None or each.jid.text > request.after),
        key=lambda each: each.jid.text,
    )
    page = left[: request.limit]
    items = tuple(MemberInfo(user=each.jid, name=each.name or each.jid.local) for each in page)
    return Page(items=items, next=page[-1].jid.text if len(left) > len(page) else None)


@operation(
    "group", "add", roles=ADMINISTRATORS, subjects=("domain", "users"), changes=True, errors=("not-found",)
)
async def add(context: Context, request: AddMembers) -> Changed:
    """Put accounts into a group: all of them, or none where one is missing.

    They are on the rosters of the other members at once, and these on theirs; clients that are connected are
    told, and see who is there.
    """
    users = _members_of(request.domain, request.users)
    if request.name is not None and len(users) > 1:
        raise OperationError("invalid", "`name` is for one account; add the others by themselves")
    members = [Member(jid, request.name or "") for jid in users]
    changed = await context.stores.groups.add(request.domain.domain, request.group, members)
    await _tell(context, request.domain)
    return Changed(domain=request.domain, group=request.group, changed=changed)


@operation(
    "group",
    "drop",
    roles=ADMINISTRATORS,
    subjects=("domain", "users"),
    changes=True,
    errors=("not-found", "conflict"),
)
async def drop(context: Context, request: DropMembers) -> Changed:
    """Take accounts out of a group; those that were not in it are passed over."""
    users = _members_of(request.domain, request.users)
    before, _ = await _find(context, request.domain, request.group)
    if before.for_everybody:
        raise OperationError("conflict", f"the group {request.group!r} has all accounts of {request.domain}")
    changed = await context.stores.groups.drop(request.domain.domain, request.group, users)
    await _tell(context, request.domain)
    return Changed(domain=request.domain, group=request.group, changed=changed)


async def _tell(context: Context, domain: Jid) -> None:
    """Let the running server take over what has been changed."""
    host = context.host(domain.domain)
    feature = None if host is None else host.feature(SharedGroups)
    if feature is not None:
        await feature.changed()


async def _find(context: Context, domain: Jid, name: str) -> tuple[SharedGroup, list[Membership]]:
    state = await context.stores.groups.load(domain.domain)
    for group in state.groups:
        if group.name == name:
            members = [each for each in state.memberships if each.group == name and not each.removed]
            return group, members
    raise NoSuchGroup(domain.domain, name)


async def _info(context: Context, domain: Jid, name: str) -> GroupInfo:
    group, members = await _find(context, domain, name)
    return _describe(group, len(members))


async def _displayed(context: Context, domain: Jid, name: str, wanted: tuple[str, ...]) -> frozenset[str]:
    """Give the other groups that a group displays; raises `OperationError` for one that is missing."""
    if wanted:
        there = {group.name for group in (await context.stores.groups.load(domain.domain)).groups}
        for each in wanted:
            if each not in there and each != name:
                raise NoSuchGroup(domain.domain, each)
    return frozenset(wanted) - {name}


def _members_of(domain: Jid, users: tuple[Jid, ...]) -> tuple[Jid, ...]:
    for user in users:
        if user.domain != domain.domain:
            raise OperationError("invalid", f"{user} is not an account of {domain}")
    return tuple(dict.fromkeys(users))


def _check(name: str, label: str) -> None:
    for what, text, most in (("group", name, LONGEST_NAME), ("label", label, _LABEL_OCTETS)):
        if len(text.encode()) > most:
            raise OperationError("invalid", f"`{what}` has {len(text.encode())} octets; {most} are allowed")


def _describe(group: SharedGroup, members: int) -> GroupInfo:
    return GroupInfo(
        group=group.name,
        label=group.label or group.name,
        members=members,
        everybody=group.for_everybody,
        displayed=tuple(sorted(group.displayed)),
        description=group.description,
    )


OPERATIONS = (create, change, remove, list_groups, show, add, drop)
