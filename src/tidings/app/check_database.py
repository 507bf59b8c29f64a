"""What `tidings check` finds out about the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tidings.app.finding import Finding
from tidings.app.options import Config
from tidings.base.errors import BackendError

if TYPE_CHECKING:  # loading it takes a while
    from tidings.adapters.sql.examine import DatabaseReport

SLOW_SECONDS: Final = 0.02
"""What a database in the next room never takes."""


class DatabaseFindings(NamedTuple):
    """What was found, and what is known of domains from there."""

    findings: list[Finding]
    added_domains: tuple[str, ...] = ()
    accounts: Mapping[str, int] = {}


async def database(config: Config) -> DatabaseFindings:
    """Tell whether the database can be used, and what a start will do with it."""
    subject = "database"
    if config.is_in_memory:
        text = "in memory: everything is forgotten at the end"
        return DatabaseFindings([Finding(status="ok", subject=subject, text=text)])
    from tidings.adapters.sql import examine as examine_database  # noqa: PLC0415  # loading it takes a while

    if not config.database.url and not config.data_dir.exists():
        text = "an SQLite database will be made on first start"
        return DatabaseFindings([Finding(status="ok", subject=subject, text=text)])
    try:
        report = await examine_database(config.database_url)
    except BackendError as error:
        text, _, mend = str(error).partition(". ")
        return DatabaseFindings([Finding(status="fail", subject=subject, text=text, mend=mend)])
    mend = ""
    if report.revision is None:
        text = f"{report.place} is empty; its tables will be made on first start"
    elif report.revision != report.known:
        text = f"{report.place} will be migrated from {report.revision} to {report.known} at the next start"
        mend = "make a backup before: tidings backup FILE; earlier versions cannot read it afterwards"
    else:
        text = f"{report.place} is up to date ({report.revision})"
    findings = [Finding(status="ok", subject=subject, text=text + _answering(report), mend=mend)]
    findings += [
        Finding(status="warn", subject=subject, text=each.text, mend=each.mend)
        for each in report.weak_settings
    ]
    findings += _slowness(report)
    return DatabaseFindings(findings, report.domains, report.accounts)


def _answering(report: DatabaseReport) -> str:
    """Tell how long a database on a server takes."""
    if report.place.startswith("the SQLite"):
        return ""
    return f"; version {'.'.join(map(str, report.version))}, answers in {report.seconds * 1000:.1f} ms"


def _slowness(report: DatabaseReport) -> Iterator[Finding]:
    if report.seconds > SLOW_SECONDS:
        yield Finding(
            status="warn",
            subject="database",
            text=f"it takes {report.seconds * 1000:.0f} ms to be asked something and to answer; log-ins wait "
            "for that several times",
            mend="let it run on this machine or next to it",
        )
