"""Operations that show what the server does at this moment: what `tidings top` asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.kernel.statistics import Look, Statistics, busiest
from tidings.operations.catalogue import OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, SessionAddress


class StatisticsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How often to look, and how many times."""

    interval: Annotated[int, Meta(ge=1, le=30, description="Seconds between two answers.")] = 2
    count: Annotated[
        int, Meta(ge=0, description="How many answers to give; 0 is as many as somebody reads.")
    ] = 1


class BusyAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account, with the stanzas a second that its sessions send and are sent."""

    user: AccountAddress
    received: float
    sent: float


class SlowReader(msgspec.Struct, frozen=True, kw_only=True):
    """A session for whose client much waits: unread, or not acknowledged."""

    session: SessionAddress
    octets: int


class StatisticsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server did since the answer before, by the second, and how it is now.

    `transaction_milliseconds` is how long a transaction of the database took in the mean, null where there
    was none. `cpu` and `writer_cpu` are parts of one core, the latter those of the process that writes the
    database; that has no memory where the server writes itself.
    """

    uptime_seconds: int
    sessions: int
    connections: int
    messages_received: float
    stanzas_received: float
    stanzas_sent: float
    logins: float
    login_failures: float
    transactions: float
    transaction_milliseconds: float | None
    ledger_queue: int
    ledger_trouble: str
    waiting_octets: int
    waiting_limit_octets: int
    memory_octets: int
    writer_memory_octets: int
    cpu: float
    writer_cpu: float
    bugs: int
    busiest: tuple[BusyAccount, ...]
    slowest: tuple[SlowReader, ...]


@operation("server", "statistics", roles=OPERATORS, changes=False, needs_server=True)
async def statistics(context: Context, request: StatisticsRequest) -> AsyncIterator[StatisticsAnswer]:
    """Tell what the server does: traffic, log-ins, database, memory, who is busiest, who reads slowly.

    The first answer comes at once, and its rates are those since the start; those that follow tell of one
    interval each. `tidings top` shows the same to people.
    """
    if context.live is None:
        raise OperationError("unavailable", "the server is not running")
    seen = context.live.statistics
    before, number = seen.start(), 0
    while True:
        after = seen.look()
        yield _answer(seen, before, after)
        before, number = after, number + 1
        if number == request.count:
            return
        await seen.wait(request.interval)


def _answer(seen: Statistics, before: Look, after: Look) -> StatisticsAnswer:
    server, ledger = seen.server, seen.ledger
    seconds = max(after.moment - before.moment, 1e-9)
    growth = {name: after.counts[name] - before.counts[name] for name in after.counts}
    rates = {name: round(max(more, 0) / seconds, 2) for name, more in growth.items()}
    transactions = growth["transactions"]
    memory, writer_memory = seen.memory()
    return StatisticsAnswer(
        uptime_seconds=int(server.clock.now() - server.started),
        sessions=server.session_count,
        connections=len(server.connections),
        messages_received=rates["messages_received"],
        stanzas_received=rates["stanzas_received"],
        stanzas_sent=rates["stanzas_sent"],
        logins=rates["logins"],
        login_failures=rates["login_failures"],
        transactions=rates["transactions"],
        transaction_milliseconds=(
            round(1000 * growth["transaction_time"] / transactions, 3) if transactions > 0 else None
        ),
        ledger_queue=ledger.queue_length if ledger else 0,
        ledger_trouble=ledger.trouble if ledger else "",
        waiting_octets=server.outbound.octets,
        waiting_limit_octets=server.outbound.limit,
        memory_octets=memory,
        writer_memory_octets=writer_memory,
        cpu=rates["cpu"],
        writer_cpu=rates["writer_cpu"],
        bugs=server.telemetry.bugs.total(),
        busiest=tuple(
            BusyAccount(user=each.account, received=round(each.received, 2), sent=round(each.sent, 2))
            for each in busiest(before, after)
        ),
        slowest=tuple(SlowReader(session=each.session, octets=each.octets) for each in after.slowest),
    )


OPERATIONS = (statistics,)
