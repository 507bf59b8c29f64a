"""Reaches whatever can carry out an operation: the running server, else the database."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from tidings.app import admin_socket, storage
from tidings.app.options import Config
from tidings.kernel.clock import SystemClock
from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import Operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.ports.stores import Stores


def call(config: Config, operation: Operation, arguments: dict[str, Any]) -> Any:  # noqa: ANN401  # plain JSON
    """Carry out an operation and give its answer as plain values; raises what the operation raises."""
    try:
        return admin_socket.call(config.admin_socket, operation.category, operation.name, arguments)
    except admin_socket.NotRunningError:
        pass
    if operation.needs_server:
        raise OperationError("unavailable", f"the server is not running ({_place(config)})")
    return asyncio.run(_on_database(config, operation, arguments))


def context_for(config: Config, stores: Stores) -> Context:
    """Make the context of operations on the database alone."""
    return Context(
        domains=config.domains,
        stores=stores,
        clock=SystemClock(),
        anonymous=frozenset(
            domain for domain, host in config.hosts.items() if host.authentication == "anonymous"
        ),
        database=storage.describe(config),
    )


async def _on_database(config: Config, operation: Operation, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
    if config.is_in_memory:
        raise OperationError("unavailable", "the server is not running, and its database is in memory only")
    if not config.database.url and not config.data_dir.is_dir():
        raise OperationError(
            "unavailable",
            f"there is no data directory {config.data_dir}; run this where the server runs, "
            "name it with --data-dir, "
            f"or make it: mkdir -m 700 {config.data_dir}",
        )
    stores = await storage.open_stores(config)
    try:
        result = await CATALOGUE.call(
            context_for(config, stores), operation.category, operation.name, arguments
        )
    finally:
        await stores.close()
    return msgspec.json.decode(msgspec.json.encode(result))  # as the admin socket gives it


def _place(config: Config) -> str:
    return f"no admin socket answers in {config.data_dir}"
