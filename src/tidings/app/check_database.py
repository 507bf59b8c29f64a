"""What `tidings check` finds out about the database."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tidings.app.finding import Finding
from tidings.app.options import Config
from tidings.base.errors import BackendError


async def database(config: Config) -> AsyncIterator[Finding]:
    """Tell whether the database can be used, and what a start will do with it."""
    subject = "database"
    if config.is_in_memory:
        yield Finding(status="ok", subject=subject, text="in memory: everything is forgotten at the end")
        return
    from tidings.adapters.sql import examine as examine_database  # noqa: PLC0415  # loading it takes a while

    if not config.database.url and not config.data_dir.exists():
        yield Finding(status="ok", subject=subject, text="an SQLite database will be made on first start")
        return
    try:
        report = await examine_database(config.database_url)
    except BackendError as error:
        text, _, mend = str(error).partition(". ")
        yield Finding(status="fail", subject=subject, text=text, mend=mend)
        return
    if report.revision is None:
        text = f"{report.place} is empty; its tables will be made on first start"
    elif report.revision != report.known:
        text = f"{report.place} will be migrated from {report.revision} to {report.known} at the next start"
    else:
        text = f"{report.place} is up to date ({report.revision})"
    yield Finding(status="ok", subject=subject, text=text)
