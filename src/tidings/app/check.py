"""`tidings check`: looks for what would keep the server from working, and says how to mend it."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from tidings.adapters.sql.ledger.caches import JID_OCTETS
from tidings.app import (
    admin_client,
    certificates,
    data_directory,
    extensions,
    listening,
    memory,
    permissions,
    rules,
)
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.base.errors import BackendError
from tidings.base.jid import CACHE_OCTETS
from tidings.operations.errors import OperationError

Status = Literal["ok", "warn", "fail"]

FULL_BYTES: Final = 64 * 1024 * 1024
FILES_BESIDE: Final = 200
"""Files that are open beside the connections: the database's, libraries, listening sockets."""
SCARCE_BYTES: Final = 1024 * 1024 * 1024


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    status: Status
    subject: str
    text: str
    mend: str = ""


def configuration_read(config: Config) -> Finding:
    """Tell which configuration is used."""
    source = config.file or (f"profile {config.profile}" if config.profile else "no file, defaults")
    domains = ", ".join(config.domains)
    return Finding(status="ok", subject="configuration", text=f"{source}; domains: {domains}")


def extensions_loaded(config: Config) -> list[Finding]:
    """Tell what the extensions are that the configuration names."""
    loaded, _ = extensions.load(config.server.extensions)
    return [
        Finding(
            status="ok",
            subject="extension",
            text=f"{each.name}, of {each.package}: "
            + ", ".join(f"`{feature.name()}`" for feature in each.features),
        )
        for each in loaded
    ]


def configuration_mistakes(error: ConfigError) -> list[Finding]:
    """Tell every mistake of a configuration that cannot be used; nothing else can be checked then."""
    return [Finding(status="fail", subject="configuration", text=str(mistake)) for mistake in error.mistakes]


async def examine(config: Config, now: datetime | None = None) -> list[Finding]:
    """Look at everything that the configuration names; changes nothing."""
    now = now or datetime.now(UTC)
    process = _running_process(config)
    findings = [
        *_data_directory(config),
        *_certificates(config, now),
        *_ports(config, process),
        *_permissions(config),
        *_files(config),
        *_memory(config),
    ]
    findings += [finding async for finding in _database(config)]
    findings += _security(config)
    return findings


def _running_process(config: Config) -> int:
    """Give the process id of the server on this data directory, or 0."""
    try:
        return int(admin_client.call(config.admin_socket, "server", "status", {})["process"])
    except (admin_client.NotRunningError, OperationError):
        return 0


def _data_directory(config: Config) -> Iterator[Finding]:
    subject = "data directory"
    if not config.server.data_dir:
        yield Finding(status="ok", subject=subject, text="a temporary one, removed when the server stops")
        return
    directory = config.data_dir
    if not directory.exists():
        parent = _existing_parent(directory)
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(status="ok", subject=subject, text=f"{directory} will be made on first start")
        else:
            yield Finding(
                status="fail",
                subject=subject,
                text=f"{directory} does not exist and this user may not make it in {parent}",
                mend=f"make it for user id {os.geteuid()}, or choose another `data_dir` in [server]",
            )
        return
    try:
        data_directory.prepare(directory)
    except data_directory.DataDirectoryError as error:
        text, _, mend = str(error).partition("; ")
        yield Finding(status="fail", subject=subject, text=text, mend=mend)
        return
    yield _space(directory)


def _space(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free
    text = f"{directory}, {free / 1024**3:.1f} GiB free"
    if free >= SCARCE_BYTES:
        return Finding(status="ok", subject="data directory", text=text)
    return Finding(
        status="fail" if free < FULL_BYTES else "warn",
        subject="data directory",
        text=text,
        mend="free or add disk space; what is accepted must be written",
    )


def _certificates(config: Config, now: datetime) -> Iterator[Finding]:
    domains: dict[certificates.Pair, list[str]] = {}
    for domain, pair in certificates.pairs_of(config).items():
        domains.setdefault(pair, []).append(domain)
    for pair, names in domains.items():
        if pair.is_own and not pair.certificate.exists():
            yield Finding(
                status="ok",
                subject="certificate",
                text=f"a self-signed one will be made on first start for {', '.join(names)}",
            )
            continue
        found = list(certificates.findings(pair, names, now))
        for finding in found:
            yield Finding(status=finding.level, subject="certificate", text=finding.text, mend=finding.mend)
        if not found:
            kind = " (self-signed)" if pair.is_own else ""
            ends = datetime.fromtimestamp(certificates.end_of(certificates.certificate_of(pair)), UTC)
            text = f"{pair.certificate}{kind}, until {ends:%Y-%m-%d}"
            yield Finding(status="ok", subject="certificate", text=text)


def _ports(config: Config, process: int) -> Iterator[Finding]:
    for name, listener in config.listen.enabled().items():
        subject = f"port {listener.port}" if listener.port else f"listen.{name}"
        try:
            for bound in listening.bind(name, listener):
                bound.close()
        except listening.ListenError as error:
            holder = listening.holder_of(error.port)
            if process and holder is not None and holder[0] == process:
                text = f"{name}: in use by the running server (process {process})"
                yield Finding(status="ok", subject=subject, text=text)
            else:
                yield Finding(status="fail", subject=subject, text=f"{name}: {error.text}", mend=error.mend)
            continue
        yield Finding(status="ok", subject=subject, text=f"{name}: free on {', '.join(listener.addresses)}")


def _permissions(config: Config) -> Iterator[Finding]:
    for subject, text, mend in permissions.open_files(config):
        yield Finding(status="warn", subject=subject, text=text, mend=mend)


def _files(config: Config) -> Iterator[Finding]:
    """Compare the open files that the system grants with the connections that are let in."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # at start the soft limit is raised to this one
    connections = config.limits.connections
    if connections and most != resource.RLIM_INFINITY and connections + FILES_BESIDE > most:
        yield Finding(
            status="warn",
            subject="open files",
            text=f"{most} at most, too few for `connections` = {connections} in [limits]",
            mend=f"let the process open {connections + FILES_BESIDE} files (LimitNOFILE= of the service, "
            "ulimit -Hn), or lower `connections`",
        )


def _memory(config: Config, available: int | None = None) -> Iterator[Finding]:
    """Compare what clients can make the server hold together with the memory that there is."""
    available = available or memory.available()
    waiting = config.limits.outbound_total_bytes or memory.outbound_share()
    held = waiting + config.ledger.waiting_bytes + CACHE_OCTETS + JID_OCTETS
    if available is not None and held > available * 3 // 4:
        yield Finding(
            status="warn",
            subject="memory",
            text=f"clients can make the server hold {_mib(held)} of {_mib(available)}: what waits for them "
            f"({_mib(waiting)}) and for the database ({_mib(config.ledger.waiting_bytes)}), and addresses",
            mend="lower `outbound_total_bytes` in [limits] or `waiting_bytes` in [ledger]",
        )


def _mib(octets: int) -> str:
    return f"{octets >> 20:,} MiB"


async def _database(config: Config) -> AsyncIterator[Finding]:
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


def _security(config: Config) -> Iterator[Finding]:
    open_ones = [
        name for name, listener in config.listen.enabled().items() if not rules.is_local_only(listener)
    ]
    if config.tls.required == "never" and open_ones:
        yield Finding(
            status="warn",
            subject="security",
            text="passwords may cross the network in the clear: [tls] required is never",
            mend='write required = "off-loopback" in [tls]',
        )


def _existing_parent(directory: Path) -> Path:
    return next(parent for parent in directory.absolute().parents if parent.exists())
