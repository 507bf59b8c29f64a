"""Opens the stores that the configuration names."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings.adapters.file_lock import PATIENCE
from tidings.app.options import Config

if TYPE_CHECKING:
    from tidings.ports.stores import Stores


async def open_stores(
    config: Config,
    *,
    patience: float = PATIENCE,
    on_wait: Callable[[str], None] = lambda _: None,
    on_upgrade: Callable[[str, str], None] | None = None,
) -> Stores:
    """Open the stores and bring their schema up to date; raises `BackendError` with what is wrong.

    `on_upgrade` is told the revisions before the schema of a database with data is changed.

    Where another process has the database for itself, `on_wait` is told, and `InUseError` is raised after
    `patience` seconds.
    """
    if config.is_in_memory:
        from tidings.adapters.memory.stores import MemoryStores  # noqa: PLC0415  # one adapter is loaded, not all
        from tidings.adapters.sql.ledger import open_memory_ledger  # noqa: PLC0415  # loading it takes a while

        ledger = await open_memory_ledger()
        return MemoryStores(ledger, ledger.close)
    from tidings.adapters.sql import open_stores as open_sql  # noqa: PLC0415  # loading it takes a while

    options = config.ledger
    return await open_sql(
        config.database_url,
        repeat_days=options.repeat_days,
        wait_seconds=options.wait_seconds,
        waiting_octets=options.waiting_bytes,
        in_process=options.writer == "process",
        writes_as=f"{socket.gethostname()} {config.data_dir.resolve()}",
        patience=patience,
        on_wait=on_wait,
        on_upgrade=on_upgrade,
    )


def describe(config: Config) -> str:
    """Name the database for people, without its password."""
    if config.is_in_memory:
        return "in memory"
    scheme, _, rest = config.database_url.partition("://")
    if scheme.startswith("sqlite"):
        return f"SQLite, {rest.removeprefix('/')}"
    credentials, at, place = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}://{user}{at}{place.partition('?')[0]}"
