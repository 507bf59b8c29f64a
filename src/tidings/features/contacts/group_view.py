"""The group view: the shared groups of a domain as this node knows them, and what they make of a roster.

A view is never changed: what has changed in the store makes another view of it, so that two of them can be
compared. What a view knows is said in terms of one account and one contact:

- the account **sees** the members of its own groups and of those that these display;
- it is **seen by** the members of its own groups and of those that display one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.groups import HISTORY, Membership, SharedGroup, StoredGroups
from tidings.ports.roster import RosterEntry, Subscription

SEPARATOR: Final = "."
"""Between the version of what an account has itself and that of its groups; the former never has one."""
_PART: Final = "~"
"""Between a version that a client had and the number of a push on the way to the next."""

_NO_NAMES: Final[frozenset[str]] = frozenset()


class SharedContact(msgspec.Struct, frozen=True):
    """What groups say of one contact of one account."""

    name: str
    labels: frozenset[str]
    subscription: Subscription

    @property
    def is_listed(self) -> bool:
        """Whether it is on the roster; a contact that only sees the account is not."""
        return self.subscription.has_to


class GroupView:
    """All groups of a domain at a number."""

    __slots__ = (
        "_left",
        "_left_of",
        "_members",
        "_near",
        "_of",
        "_sides",
        "epoch",
        "groups",
        "number",
        "pruned",
    )

    def __init__(
        self,
        stored: StoredGroups = StoredGroups(),  # noqa: B008  # frozen
        memberships: Iterable[Membership] = (),
    ) -> None:
        self.epoch = stored.epoch
        self.number = stored.number
        self.pruned = stored.pruned
        self.groups = {group.name: group for group in stored.groups}
        self._members: dict[str, dict[Jid, Membership]] = {}
        self._left: dict[str, dict[Jid, Membership]] = {}
        self._of: dict[Jid, frozenset[str]] = {}
        self._left_of: dict[Jid, frozenset[str]] = {}
        for each in memberships:
            if not each.removed and each.group not in self.groups:
                continue  # its group was made after those were read; both are read the next time
            where, names = (self._left, self._left_of) if each.removed else (self._members, self._of)
            where.setdefault(each.group, {})[each.jid] = each
            names[each.jid] = names.get(each.jid, _NO_NAMES) | {each.group}
        self._near = {name: self._neighbours(group) for name, group in self.groups.items()}
        self._sides: dict[frozenset[str], tuple[frozenset[str], frozenset[str]]] = {}

    def with_changes(self, later: StoredGroups) -> Self | None:
        """Give the view after what was read since; None where all has to be read anew."""
        if later.epoch != self.epoch or later.pruned > self.number:
            return None
        known = {
            (each.group, each.jid): each
            for each in self._all()
            if each.changed > later.pruned or not each.removed
        }
        known.update({(each.group, each.jid): each for each in later.memberships})
        return type(self)(later, known.values())

    # --- one account

    def concerns(self, account: Jid) -> bool:
        """Tell whether groups say anything of this account's roster."""
        return account in self._of

    @property
    def is_for_everybody(self) -> bool:
        """Whether new accounts are in groups at once."""
        return any(group.for_everybody for group in self.groups.values())

    def contact(self, account: Jid, contact: Jid) -> SharedContact | None:
        """Give what groups say of a contact of this account; None where they say nothing."""
        own, theirs = self._of.get(account), self._of.get(contact)
        if own is None or theirs is None or account == contact:
            return None
        sees, seen_by = self._sides_of(own)
        shown = theirs & sees
        is_watching = not theirs.isdisjoint(seen_by)
        if not shown and not is_watching:
            return None
        names = sorted(name for each in shown if (name := self._members[each][contact].name))
        return SharedContact(
            names[0] if names else contact.local,
            frozenset(self.groups[each].label or each for each in shown),
            Subscription.of(to=bool(shown), from_=is_watching),
        )

    def contacts(self, account: Jid) -> Iterator[Jid]:
        """Give everybody whom groups make a contact of this account."""
        own = self._of.get(account)
        if own is None:
            return
        sees, seen_by = self._sides_of(own)
        yield from self._people(sees | seen_by, account)

    def watchers(self, account: Jid) -> Iterable[Jid]:
        """Give everybody whom groups let see this account."""
        own = self._of.get(account)
        return () if own is None else self._people(self._sides_of(own)[1], account)

    def watched(self, account: Jid) -> Iterable[Jid]:
        """Give everybody whom groups let this account see."""
        own = self._of.get(account)
        return () if own is None else self._people(self._sides_of(own)[0], account)

    # --- versions

    def number_of(self, account: Jid) -> int:
        """Give the last change that may have touched the roster of this account."""
        groups = {near for name in self._of.get(account, ()) for near in self._near[name]}
        numbers = [self.groups[name].changed for name in groups]
        numbers += [self._members[name][account].changed for name in self._of.get(account, ())]
        numbers += [self._left[name][account].changed for name in self._left_of.get(account, ())]
        return max(numbers, default=0) if self.pruned == 0 else max([self.pruned, *numbers])

    def suffix(self, account: Jid) -> str:
        """Give what the version of a roster ends with; nothing where groups never said anything of it."""
        if not self.number:
            return ""
        number = self.number_of(account)
        return write_suffix(self.epoch, number) if number else ""

    def changes_since(self, account: Jid, epoch: str, known: int) -> tuple[Jid, ...] | None:
        """Give the contacts that may have changed since; None where that is not known: all may have then."""
        if (known and epoch != self.epoch) or not self.pruned <= known <= self.number:
            return None
        changed: dict[Jid, int] = {}
        for name in self._of.get(account, _NO_NAMES) | self._left_of.get(account, _NO_NAMES):
            own = self._members.get(name, {}).get(account) or self._left[name][account]
            if name not in self.groups:
                if own.changed > known:
                    return None
                continue
            if any(self.groups[near].edited > known for near in self._near[name]):
                if not own.removed or own.changed > known:
                    return None
                continue
            if own.removed and own.changed <= known:
                continue
            for near in self._near[name]:
                since = known if own.changed <= known else -1
                self._add_changed(changed, near, since, known)
        changed.pop(account, None)
        return tuple(sorted(changed, key=lambda jid: changed[jid])) if len(changed) <= HISTORY else None

    def _add_changed(self, changed: dict[Jid, int], group: str, since: int, left_since: int) -> None:
        for people, after in ((self._members, since), (self._left, left_since)):
            for jid, each in people.get(group, {}).items():
                if each.changed > after:
                    changed[jid] = max(each.changed, changed.get(jid, 0))

    # --- within

    def _all(self) -> Iterator[Membership]:
        for people in (self._members, self._left):
            for each in people.values():
                yield from each.values()

    def _neighbours(self, group: SharedGroup) -> frozenset[str]:
        """Give a group, those that it displays, and those that display it."""
        showing = {each.name for each in self.groups.values() if group.name in each.displayed}
        return frozenset({group.name} | showing | (group.displayed & self.groups.keys()))

    def _sides_of(self, own: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Give the groups that somebody who is in these groups sees, and those that see him."""
        found = self._sides.get(own)
        if found is None:
            displayed = {name for each in own for name in self.groups[each].displayed if name in self.groups}
            showing = {each.name for each in self.groups.values() if not own.isdisjoint(each.displayed)}
            found = self._sides[own] = (own | displayed, own | showing)
        return found

    def _people(self, groups: frozenset[str], but: Jid) -> Iterator[Jid]:
        """Go through the members of several groups, each of them once."""
        if len(groups) == 1:
            (only,) = groups
            yield from (jid for jid in self._members.get(only, ()) if jid != but)
            return
        yield from {jid for name in groups for jid in self._members.get(name, ()) if jid != but}


def merged(contact: Jid, own: RosterEntry | None, shared: SharedContact | None) -> RosterEntry | None:
    """Give the entry that clients see: what the account has itself, and what its groups add to it.

    A name that the account's owner gave wins; both have their say about groups and subscriptions.
    """
    if shared is None:
        return own
    entry = own or RosterEntry(jid=contact, listed=False)
    to, from_ = shared.subscription.has_to, shared.subscription.has_from
    subscription = Subscription.of(
        to=entry.subscription.has_to or to, from_=entry.subscription.has_from or from_
    )
    return msgspec.structs.replace(
        entry,
        name=entry.name or (shared.name if to else ""),
        groups=entry.groups | shared.labels,
        subscription=subscription,
        ask=entry.ask and not subscription.has_to,
        approved=entry.approved and not subscription.has_from,
        pending_in=None if subscription.has_from else entry.pending_in,
        listed=entry.listed or to,
    )


def only_shared(contact: Jid, shared: SharedContact) -> StanzaError:
    """Make the error for whoever wants to remove a contact that is one by a shared group only."""
    labels = ", ".join(sorted(shared.labels))
    return StanzaError("not-allowed", f"{contact} is a contact by a shared group: {labels}")


def write_suffix(epoch: str, number: int, part: int | None = None) -> str:
    """Write what the version of a roster ends with; `part` is of a push on the way to the next number."""
    return f"{SEPARATOR}{epoch}-{number}" + ("" if part is None else f"{_PART}{part}")


def split_version(version: str) -> tuple[str, str, int]:
    """Take a version apart: what the account has itself, and epoch and number of its groups; 0 for none.

    A text that is no version has the number -1, of which nothing is known.
    """
    own, dot, rest = version.partition(SEPARATOR)
    if not dot:
        return own, "", 0
    epoch, _, digits = rest.partition(_PART)[0].rpartition("-")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= 18
    return own, epoch, int(digits) if is_number else -1


NO_GROUPS: Final = GroupView()
"""What a domain begins with."""
