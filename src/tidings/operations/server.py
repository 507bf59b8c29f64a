"""Operations on the server as a whole."""

from __future__ import annotations

import importlib.metadata
import os

import msgspec

from tidings.base.clock import format_utc
from tidings.base.errors import BackendError
from tidings.operations.catalogue import Permission, operation
from tidings.operations.context import Context


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is; `started` is in UTC, figures are of the domains that the caller administers."""

    version: str
    running: bool
    domains: tuple[str, ...]
    database: str
    database_ok: bool
    database_trouble: str = ""
    accounts: int | None = None
    sessions: int = 0
    started: str = ""
    uptime_seconds: int | None = None
    process: int | None = None


class StatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


@operation("server", "status", permission=Permission.ADMIN, errors=())
async def status(context: Context, request: StatusRequest) -> Status:
    """Tell whether the server runs, since when, and how many accounts and sessions it has."""
    del request
    domains = context.domains_for("")
    trouble, accounts = "", None
    try:
        await context.stores.ping()
        accounts = sum([await context.stores.accounts.count(domain) for domain in domains])
    except BackendError as error:
        trouble = str(error)
    live = context.live
    return Status(
        version=importlib.metadata.version("tidings"),
        running=live is not None,
        domains=domains,
        database=context.database,
        database_ok=not trouble,
        database_trouble=trouble,
        accounts=accounts,
        sessions=sum(1 for _ in context.sessions(domains)),
        started=format_utc(live.started) if live else "",
        uptime_seconds=int(context.clock.now() - live.started) if live else None,
        process=os.getpid() if live else None,
    )


OPERATIONS = (status,)
