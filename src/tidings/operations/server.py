"""Operations on the server as a whole."""

from __future__ import annotations

import importlib.metadata
import os
import re

import msgspec

from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.operations.catalogue import ADMINISTRATORS, OPERATORS, operation
from tidings.operations.context import Context, Reloaded, Role
from tidings.operations.errors import DATABASE_SILENT
from tidings.operations.values import Domain, Moment, moment_of


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the server is; figures are of the domains that the caller administers."""

    healthy: bool
    """Whether the server runs and its database answers."""
    version: str
    running: bool
    domains: tuple[Domain, ...]
    database: str
    database_ok: bool
    database_trouble: str | None = None
    accounts: int | None = None
    sessions: int = 0
    started: Moment | None = None
    uptime_seconds: int | None = None
    process: int | None = None


class StatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


@operation("server", "status", roles=ADMINISTRATORS, without_subject="own", changes=False, answer="healthy")
async def status(context: Context, request: StatusRequest) -> Status:
    """Tell whether the server runs, since when, and how many accounts and sessions it has.

    It is healthy when it runs and its database answers.
    """
    del request
    domains = context.domains_for(None)
    knows_all = context.caller.role is Role.OPERATOR  # an administrator of a domain is a guest here
    trouble: str | None = None
    accounts: int | None = None
    try:
        await context.stores.ping()
        accounts = sum([await context.stores.accounts.count(domain) for domain in domains])
    except BackendError as error:
        trouble = str(error) if knows_all else DATABASE_SILENT
    live = context.live
    return Status(
        healthy=live is not None and trouble is None,
        version=importlib.metadata.version("tidings"),
        running=live is not None,
        domains=tuple(map(Jid, domains)),
        database=context.database if knows_all else re.split("[:,]", context.database)[0],
        database_ok=trouble is None,
        database_trouble=trouble,
        accounts=accounts,
        sessions=sum(1 for _ in context.sessions(domains)),
        started=moment_of(live.started) if live else None,
        uptime_seconds=int(context.clock.now() - live.started) if live else None,
        process=os.getpid() if live else None,
    )


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing to say."""


@operation(
    "server",
    "reload",
    roles=OPERATORS,
    changes=True,
    errors=("conflict",),
    needs_server=True,
    answer="complete",
)
async def reload(context: Context, request: ReloadRequest) -> Reloaded:
    """Read the configuration and the certificates anew, without a restart.

    New handshakes show the new certificates; who is connected stays so. Where a file cannot be used, the old
    one stays in use. Options that need a restart are named when they have changed since the start. SIGHUP
    does the same.
    """
    del request
    return await context.configuration().reload()


OPERATIONS = (status, reload)
