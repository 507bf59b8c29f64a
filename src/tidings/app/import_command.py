"""`tidings import` and `tidings export` as they are typed: reports for people, JSON for programs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from tidings.app import data_directory, presentation, storage
from tidings.app.options import Config
from tidings.base.errors import TidingsError
from tidings.kernel.clock import SystemClock
from tidings.kernel.former_names import FormerNames
from tidings.portable.account import Source
from tidings.portable.ejabberd.database import EjabberdDatabase
from tidings.portable.ejabberd.dump import EjabberdDump
from tidings.portable.importing import Importer, ImportReport, OnProgress
from tidings.portable.mongooseim.database import MongooseIm
from tidings.portable.prosody.reading import Prosody
from tidings.portable.xep0227.reading import Xep0227
from tidings.wire.xmpp.sasl.keys import HASHES

SOURCES: Final[Mapping[str, Callable[[str, str], Source]]] = {
    "xep-0227": lambda path, _: Xep0227(Path(path)),
    "prosody": lambda place, _: Prosody(place),
    "ejabberd": lambda place, domain: (
        EjabberdDatabase(place, domain) if "://" in place else EjabberdDump(Path(place))
    ),
    "mongooseim": MongooseIm,
}
"""What reads each format."""


class ExportError(TidingsError):
    """The file cannot be written; the text says why."""


def import_accounts(
    config: Config,
    format_: str,
    path: str,
    domain: str,
    *,
    is_dry: bool,
    reuses_names: bool = False,
    as_json: bool,
) -> bool:
    """Take over what lies at the path, of one domain if one is named; tell whether all could be used.

    Raises `PortableError`, `InUseError` and `BackendError`.
    """
    with _progress() as on_progress:
        report = asyncio.run(_import(config, format_, path, domain, is_dry, reuses_names, on_progress))
    if as_json:
        presentation.print_json(msgspec.to_builtins(report))
    else:
        _tell(report, is_dry=is_dry)
        _advise(report, config.server.mechanisms)
    return not report.problems


def export_accounts(file: str, parts: Iterable[str], *, as_json: bool) -> None:
    """Write a document into a new file that this user alone can read, or to standard output for `-`.

    What was begun and could not be ended is removed. Raises `ExportError`, and what `parts` does.
    """
    if file == "-":
        sys.stdout.writelines(parts)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with _removed_unless_whole(Path(file)), os.fdopen(descriptor, "w", encoding="utf-8") as document:
            characters = sum(document.write(part) for part in parts)
    except OSError as error:
        raise ExportError(f"{file} cannot be written: {error.strerror}") from None
    if as_json:
        presentation.print_json({"file": file, "characters": characters})
    else:
        sys.stdout.write(f"{file} is written.\n")


@contextmanager
def _removed_unless_whole(path: Path) -> Iterator[None]:
    """Let nobody take a part for the whole, nor find it in the way when it is tried again."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _import(
    config: Config,
    format_: str,
    path: str,
    domain: str,
    is_dry: bool,
    reuses_names: bool,
    on_progress: OnProgress,
) -> ImportReport:
    domains = [domain for domain in config.domains if config.host(domain).authentication == "accounts"]
    clock = SystemClock()
    async with data_directory.without_server(config.data_dir):
        stores = await storage.open_stores(config)
        try:
            days = config.server.name_rest_days
            names = None if reuses_names else FormerNames(stores.removals, clock, lambda: days)
            importer = Importer(stores, domains, clock, is_dry=is_dry, on_progress=on_progress, names=names)
            return await importer.run(SOURCES[format_](path, domain), format_, domain)
        finally:
            await stores.close()


def _tell(report: ImportReport, *, is_dry: bool) -> None:
    """Say what was done, what was left out, and what is wrong."""
    would = "Would import" if is_dry else "Imported"
    sys.stdout.write(f"{would} accounts: {report.accounts}, messages: {report.messages}.\n")
    if report.finished:
        sys.stdout.write(f"Accounts whose import had begun before: {report.finished}.\n")
    if report.present:
        sys.stdout.write(f"Accounts that were here already and stay as they are: {report.present}.\n")
    if report.left_out:
        sys.stdout.write("Left out, since there is no place for it here:\n")
        sys.stdout.writelines(f"- {what}: {count}\n" for what, count in report.left_out.most_common())
    if report.problems:
        sys.stdout.write("What could not be imported:\n")
        sys.stdout.writelines(f"- {problem}\n" for problem in report.problems)


def _advise(report: ImportReport, offered: Sequence[str]) -> None:
    """Say which mechanisms are not for everybody: a client tries the strongest that is offered."""
    most = max(report.mechanisms.values(), default=0)
    for_all = [name for name in offered if name not in HASHES or report.mechanisms[name] == most]
    if most and len(for_all) < len(offered):
        missing = ", ".join(name for name in offered if name not in for_all)
        sys.stdout.write(
            f"Not everybody has a key for {missing}, which clients would try first. Let the configuration "
            f"offer what all can use:\n\n[server]\nmechanisms = {json.dumps(for_all)}\n"
        )


@contextmanager
def _progress() -> Iterator[OnProgress]:
    """Show how far it is, on a terminal."""
    columns = (
        TextColumn("accounts: {task.fields[accounts]}, messages: {task.completed}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", accounts=0, total=None)
        yield lambda accounts, messages: bar.update(task, completed=messages, accounts=accounts)
