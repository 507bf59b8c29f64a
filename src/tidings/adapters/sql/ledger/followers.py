"""Followers in SQL: a row with the cursor of each, its lease, and the dead letters.

Whoever moves a cursor locks the lease first and the follower's row then. Nothing here locks an archive or
takes a number of the feed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tidings.adapters.sql.ledger.encoding import epoch_number, epoch_text
from tidings.adapters.sql.ledger.leases import has_lease, release_lease, take_lease
from tidings.adapters.sql.ledger.runner import Runner
from tidings.adapters.sql.ledger.statements import Sql
from tidings.ports.ledger.feed import Cursor
from tidings.ports.ledger.followers import DeadLetter, FollowerState, NoSuchFollower

NAME_OCTETS: Final = 128
"""The longest name of a follower, and of a lease."""

_STATE: Final = (
    "SELECT f.name, f.incarnation, f.feed, f.number, f.part, f.moved, l.owner, l.leased_until, "
    "(SELECT COUNT(*) FROM dead_letters d WHERE d.follower = f.name), "
    "(SELECT COUNT(*) FROM dead_letters d WHERE d.follower = f.name AND d.is_retried = 1) "
    "FROM followers f LEFT JOIN leases l ON l.name = f.name "
)
_MOVE: Final = (
    "UPDATE followers SET incarnation = ?, feed = ?, number = ?, part = ?, moved = ? WHERE name = ?"
)
_CURSOR: Final = "SELECT incarnation, feed, number, part FROM followers WHERE name = ?"
_LETTERS: Final = (
    "SELECT incarnation, feed, number, reason, time, is_retried FROM dead_letters WHERE follower = ? "
)


class SqlFollowers:
    """The port `FollowerStore` over a database."""

    def __init__(self, runner: Runner, now: Callable[[], int]) -> None:
        self._runner = runner
        self._now = now

    async def follower(self, name: str) -> FollowerState | None:
        """Give the state of a follower."""
        return await self._runner.read(lambda sql: _find_state(sql, name))

    async def followers(self) -> tuple[FollowerState, ...]:
        """Give the state of all followers, by name."""
        return await self._runner.read(lambda sql: tuple(map(_state, sql.run(f"{_STATE}ORDER BY f.name"))))

    async def take_lease(
        self, name: str, owner: str, seconds: float, *, from_now: bool = False
    ) -> FollowerState | None:
        """Become, or stay, the one who does the work of a follower; None while another one does it."""

        def work(sql: Sql) -> FollowerState | None:
            if not take_lease(sql, name, owner, self._now(), seconds):
                return None
            if _find_state(sql, name) is None:
                make_follower(sql, name, self._now(), from_now=from_now)
            return _find_state(sql, name)

        return await self._runner.write(work)

    async def release(self, name: str, owner: str) -> None:
        """Give the lease back."""
        await self._runner.write(lambda sql: release_lease(sql, name, owner))

    async def advance(self, name: str, owner: str, old: Cursor, new: Cursor) -> bool:
        """Move the cursor after the effect; tells whether it stands at `new` now."""

        def work(sql: Sql) -> bool:
            if not has_lease(sql, name, owner):
                return False
            stands = lock_cursor(sql, name)
            if stands == old:
                move_cursor(sql, name, new, self._now())
            return stands in {old, new}

        return await self._runner.write(work)

    async def rewind(self, name: str, cursor: Cursor) -> None:
        """Let a follower go on elsewhere."""

        def work(sql: Sql) -> None:
            if lock_cursor(sql, name) is None:
                raise NoSuchFollower(name)
            move_cursor(sql, name, cursor, self._now())

        await self._runner.write(work)

    async def forget_follower(self, name: str) -> bool:
        """Forget a follower with its dead letters."""

        def work(sql: Sql) -> bool:
            run, key = sql.run, name.encode()
            run("DELETE FROM dead_letters WHERE follower = ?", key)
            run("DELETE FROM leases WHERE name = ?", key)
            return bool(run("DELETE FROM followers WHERE name = ?", key).rowcount)

        return await self._runner.write(work)

    # -- dead letters

    async def put_aside(self, name: str, cursor: Cursor, reason: str) -> None:
        """Note that the thing at this place of the feed could not be done."""
        row = (
            name.encode(),
            cursor.feed,
            cursor.number,
            epoch_number(cursor.incarnation),
            self._now(),
            0,
            reason.encode(),
        )
        await self._runner.write(lambda sql: sql.put("dead_letters", [row]))

    async def dead_letters(
        self, name: str, after: Cursor | None = None, limit: int = 100, *, retried_only: bool = False
    ) -> tuple[DeadLetter, ...]:
        """Give the dead letters of a follower in the order of the feed."""
        condition, values = "", [name.encode()]
        bounds = [] if after is None else [after.feed, after.feed, after.number]
        if bounds:
            condition += "AND (feed > ? OR feed = ? AND number > ?) "
        if retried_only:
            condition += "AND is_retried = 1 "
        statement = f"{_LETTERS}{condition}ORDER BY feed, number LIMIT {int(limit)}"
        rows = await self._runner.read(lambda sql: sql.run(statement, *values, *bounds).all())
        return tuple(map(_letter, rows))

    async def retry_dead_letters(self, name: str, cursor: Cursor | None = None) -> int:
        """Ask for another try of one dead letter, or of all of them."""

        def work(sql: Sql) -> int:
            run, key = sql.run, name.encode()
            if _find_state(sql, name) is None:
                raise NoSuchFollower(name)
            condition, values = "follower = ?", [key]
            place = [] if cursor is None else [cursor.feed, cursor.number]
            if place:
                condition += " AND feed = ? AND number = ?"
            count = f"SELECT COUNT(*) FROM dead_letters WHERE {condition}"  # noqa: S608  # ours
            statement = f"UPDATE dead_letters SET is_retried = 1 WHERE {condition}"  # noqa: S608  # ours
            run(statement, *values, *place)
            return int(run(count, *values, *place).scalar())

        return await self._runner.write(work)

    async def remove_dead_letter(self, name: str, cursor: Cursor) -> bool:
        """Forget a dead letter; tells whether it was there."""
        statement = "DELETE FROM dead_letters WHERE follower = ? AND feed = ? AND number = ?"
        return await self._runner.write(
            lambda sql: bool(sql.run(statement, name.encode(), cursor.feed, cursor.number).rowcount)
        )


def make_follower(sql: Sql, name: str, now: int, *, from_now: bool = False) -> None:
    """Make a follower that is not there yet; without an incarnation it begins with the oldest there is."""
    incarnation = feed = 0
    if from_now:
        row = sql.run("SELECT incarnation, feed FROM ledger WHERE id = 1").first()
        incarnation, feed = row or (0, 0)
        feed += 1
    sql.add("followers", [(name.encode(), incarnation, feed, 0, 0, now)])


def read_cursor(sql: Sql, name: str) -> Cursor | None:
    """Give the cursor of a follower; None where there is no follower."""
    row = sql.run(_CURSOR, name.encode()).first()
    return None if row is None else Cursor(epoch_text(row[0]), *row[1:])


def lock_cursor(sql: Sql, name: str) -> Cursor | None:
    """Give the cursor of a follower, locked until the transaction ends; None where there is no follower."""
    row = sql.run(_CURSOR + sql.locked, name.encode()).first()
    return None if row is None else Cursor(epoch_text(row[0]), *row[1:])


def move_cursor(sql: Sql, name: str, cursor: Cursor, now: int) -> None:
    """Let the locked cursor of a follower stand elsewhere."""
    incarnation = max(epoch_number(cursor.incarnation), 0)
    place = incarnation, cursor.feed, cursor.number, cursor.part
    sql.run(_MOVE, *place, now, name.encode())


def _find_state(sql: Sql, name: str) -> FollowerState | None:
    row = sql.run(f"{_STATE}WHERE f.name = ?", name.encode()).first()
    return None if row is None else _state(row)


def _state(row: tuple[Any, ...]) -> FollowerState:
    name, incarnation, feed, number, part, moved, owner, until, letters, retries = row
    return FollowerState(
        name=bytes(name).decode(),
        cursor=Cursor(epoch_text(incarnation), feed, number, part),
        moved=moved,
        owner=bytes(owner or b"").decode(),
        leased_until=until or 0,
        dead_letters=letters,
        retries=retries,
    )


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    incarnation, feed, number, reason, time, is_retried = row
    return DeadLetter(
        cursor=Cursor(epoch_text(incarnation), feed, number),
        reason=bytes(reason).decode(),
        time=time,
        is_retried=bool(is_retried),
    )
