"""Reaches whatever can carry out an operation: the running server, else the database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from tidings.adapters.file_lock import PATIENCE
from tidings.app import admin_client, storage
from tidings.app.options import Config
from tidings.base.errors import InUseError
from tidings.base.jid import Jid
from tidings.kernel.clock import SystemClock
from tidings.kernel.domains import Domains, ServedDomain, Source
from tidings.operations.catalogue import Catalogue, Operation
from tidings.operations.context import Context
from tidings.operations.values import to_plain
from tidings.ports.domains import DomainState
from tidings.ports.stores import Stores

_END: Final = object()
_PAUSE: Final = 0.1


def call(
    config: Config, operation: Operation, arguments: dict[str, Any], on_wait: Callable[[str], None]
) -> Any:  # noqa: ANN401  # plain JSON
    """Carry out an operation and give its answer as plain values; raises what the operation raises.

    `on_wait` is told what a starting server waits for, or who has the database for itself.
    """
    asked = (config.admin_socket, operation.category, operation.name, arguments)
    waiting = _Patience(on_wait)
    while True:
        try:
            return admin_client.call(*asked, waiting.tell)
        except admin_client.NotRunningError:
            _may_do_without_server(config, operation)
        try:
            return asyncio.run(_on_database(config, operation, arguments))
        except InUseError as error:
            waiting.wait(error)


def stream(
    config: Config, operation: Operation, arguments: dict[str, Any], on_wait: Callable[[str], None]
) -> Iterator[Any]:
    """Carry out an operation with many answers and give them as plain values; otherwise as `call`."""
    asked = (config.admin_socket, operation.category, operation.name, arguments)
    waiting = _Patience(on_wait)
    while True:
        try:
            yield from admin_client.stream(*asked, waiting.tell)
            return
        except admin_client.NotRunningError:
            _may_do_without_server(config, operation)
        try:
            with asyncio.Runner() as runner:
                answers = _stream_database(config, operation, arguments)
                while (answer := runner.run(_next(answers))) is not _END:
                    yield answer
            return
        except InUseError as error:
            waiting.wait(error)


class _Patience:
    """Waits for who has the database: a server that stops, or one that starts and can be asked soon."""

    def __init__(self, on_wait: Callable[[str], None]) -> None:
        self._on_wait = on_wait
        self._told = ""
        self._end = time.monotonic() + PATIENCE

    def tell(self, what: str) -> None:
        """Tell what is waited for, once."""
        if what != self._told:
            self._told = what
            self._on_wait(what)

    def wait(self, error: InUseError) -> None:
        """Wait a moment, or raise the error when that has been done for long enough."""
        if time.monotonic() >= self._end:
            raise error
        self.tell(f"waiting, because {error}")
        time.sleep(_PAUSE)


async def context_for(config: Config, stores: Stores) -> Context:
    """Make the context of operations on the database alone."""
    domains = Domains(
        ServedDomain(
            domain=domain, is_anonymous=host.authentication == "anonymous", admins=_jids(host.admins)
        )
        for domain, host in config.hosts.items()
    )
    for record in await stores.domains.list():
        if record.domain not in domains and record.state is not DomainState.REMOVING:
            domains.put(
                ServedDomain(
                    domain=record.domain,
                    source=Source.DATABASE,
                    state=record.state,
                    is_anonymous=config.host(record.domain).authentication == "anonymous",
                    admins=record.admins,
                )
            )
    return Context(
        domains=domains,
        stores=stores,
        clock=SystemClock(),
        database=storage.describe(config),
        public_url=lambda: config.http.public_url,
        reset_link_hours=lambda: config.http.reset_link_hours,
        name_rest_days=lambda: config.server.name_rest_days,
        without_server=f"no server runs on {config.data_dir}, and the configuration that was read is "
        f"{config.file or 'the default one, without a file'}; --config and --data-dir name others",
    )


def _may_do_without_server(config: Config, operation: Operation) -> None:
    """Raise `UnreachableError` where there is neither a server nor a database that can be asked."""
    if operation.needs_server:
        raise admin_client.UnreachableError(f"the server is not running ({_place(config)})")
    if config.is_in_memory:
        told = "the server is not running, and its database is in memory only"
        raise admin_client.UnreachableError(told)
    if not config.database.url and not config.data_dir.is_dir():
        raise admin_client.UnreachableError(
            f"there is no data directory {config.data_dir}; run this where the server runs, "
            "name it with --data-dir, "
            f"or make it: mkdir -m 700 {config.data_dir}",
        )


async def _on_database(config: Config, operation: Operation, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
    async with _opened(config) as context:
        # That of the server may lack it: it may be an extension's.
        result = await Catalogue((operation,)).call(context, operation.category, operation.name, arguments)
    return to_plain(result)


async def _stream_database(
    config: Config, operation: Operation, arguments: dict[str, Any]
) -> AsyncIterator[Any]:
    async with _opened(config) as context:
        async for answer in Catalogue((operation,)).stream(
            context, operation.category, operation.name, arguments
        ):
            yield to_plain(answer)


async def _next(answers: AsyncIterator[Any]) -> Any:  # noqa: ANN401  # plain JSON
    return await anext(answers, _END)


@contextlib.asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Context]:
    stores = await storage.open_stores(config, patience=0)
    try:
        yield await context_for(config, stores)
    finally:
        await stores.close()


def _jids(texts: tuple[str, ...]) -> tuple[Jid, ...]:
    return tuple(map(Jid, texts))


def _place(config: Config) -> str:
    return f"no admin socket answers in {config.data_dir}"
