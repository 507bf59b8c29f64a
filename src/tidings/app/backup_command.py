"""`tidings backup` and `tidings restore` as they are typed: progress for people, JSON for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tidings.adapters.sql.urls import describe, parse_url
from tidings.app import backup as backups
from tidings.app import move, presentation
from tidings.app.backup_file import Manifest
from tidings.app.options import Config
from tidings.app.row_progress import OnProgress


def backup(config: Config | None, file: str, *, as_json: bool) -> None:
    """Write a backup of what is configured, or, without a configuration, read one to its end."""
    path = Path(file)
    with _progress() as on_progress:
        if config is None:
            manifest = backups.verify(path, on_progress)
        else:
            manifest = asyncio.run(backups.make(config, path, on_progress))
    _tell(f"{path} is whole" if config is None else f"{path} is written", manifest, as_json=as_json)


def restore(config: Config, file: str, *, as_json: bool) -> None:
    """Put a backup into the database that is configured."""
    path = Path(file)
    with _progress() as on_progress:
        manifest = asyncio.run(backups.restore(config, path, on_progress))
    _tell(f"{path} is restored", manifest, as_json=as_json)


def migrate(config: Config, url: str, *, as_json: bool) -> None:
    """Move what is configured to another database."""
    with _progress() as on_progress:
        rows = asyncio.run(move.move(config, url, on_progress))
    if as_json:
        presentation.print_json(rows)
        return
    place = describe(parse_url(url))
    sys.stdout.write(
        f"{place} has everything now: accounts: {rows['accounts']}, messages: {rows['messages']}. Name it in "
        "`url` of [database] and start the server.\n"
    )


def _tell(what: str, manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        presentation.print_json(msgspec.to_builtins(manifest))
        return
    made = manifest.made.astimezone().isoformat(" ", "seconds")
    accounts, messages = (manifest.tables[name].rows for name in ("accounts", "messages"))
    blobs = manifest.blobs
    files = f", files: {blobs.count}" if blobs.count or blobs.missing else ""
    files += f" (and {blobs.missing} without their octets)" if blobs.missing else ""
    sys.stdout.write(f"{what}: accounts: {accounts}, messages: {messages}{files}, made {made}.\n")


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show how far it is, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("")
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
