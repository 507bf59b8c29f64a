"""What `tidings check` knows of faults in what is installed beside it, each with its source."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tidings.app.finding import Finding
from tidings.app.options import Config

Version = tuple[int, ...]


class Fault(NamedTuple):
    """Something that is wrong in certain versions of a library."""

    library: str
    since: Version
    mended: Version
    """The first version without it."""
    text: str
    source: str
    also_mended: tuple[Version, ...] = ()
    """Versions of earlier series that have been mended, too, each with what follows in its series."""
    unless: str = ""
    """A module that keeps it from mattering."""
    is_avoided: bool = False
    """Whether the server cannot run into it."""

    def concerns(self, version: Version) -> bool:
        """Tell whether a version has it."""
        if any(version[:2] == series[:2] and version >= series for series in self.also_mended):
            return False
        return self.since <= version < self.mended


FAULTS: Final = (
    Fault(
        "SQLite",
        (3, 7, 0),
        (3, 51, 3),
        "two programs that write to one file at the same moment may damage it; the server keeps from that, "
        "so let no other program write to its file",
        "https://www.sqlite.org/wal.html#walresetbug",
        also_mended=((3, 44, 6), (3, 50, 7)),
        is_avoided=True,
    ),
    Fault(
        "expat",
        (0,),
        (2, 4, 5),
        "what a client sends may pose as other XML than it is",
        "https://nvd.nist.gov/vuln/detail/CVE-2022-25236",
    ),
    Fault(
        "OpenSSL",
        (3, 0, 0),
        (3, 0, 7),
        "a certificate that a client shows may end or take over the server",
        "https://www.openssl.org/news/secadv/20221101.txt",
    ),
    Fault(
        "OpenSSL",
        (0,),
        (3, 0, 0),
        "its makers have mended nothing in it since September 2023",
        "https://www.openssl.org/blog/blog/2023/09/11/eol-111/",
    ),
    Fault(
        "Python",
        (3, 12, 0),
        (3, 12, 9),
        "a client that reads nothing may fill the memory",
        "https://nvd.nist.gov/vuln/detail/CVE-2024-12254",
        unless="uvloop",
    ),
    Fault(
        "Python",
        (3, 13, 0),
        (3, 13, 2),
        "a client that reads nothing may fill the memory",
        "https://nvd.nist.gov/vuln/detail/CVE-2024-12254",
        unless="uvloop",
    ),
)


def versions(config: Config) -> Iterator[Finding]:
    """Tell which of the versions that this server runs with have faults that concern it."""
    found = installed()
    if not config.database_url.startswith("sqlite"):
        del found["SQLite"]
    yield from judged(found)


def installed() -> dict[str, Version]:
    """Give the versions of what this process has loaded or would load."""
    import pyexpat  # noqa: PLC0415  # only here
    import sqlite3  # noqa: PLC0415
    import ssl  # noqa: PLC0415

    major, minor, fix, patch, _ = ssl.OPENSSL_VERSION_INFO
    return {
        "Python": sys.version_info[:3],
        # Since 3.0 the number of the correction stands fourth.
        "OpenSSL": (major, minor, patch) if major >= 3 else (major, minor, fix),
        "SQLite": sqlite3.sqlite_version_info,
        "expat": pyexpat.version_info,
    }


def judged(found: Mapping[str, Version]) -> Iterator[Finding]:
    """Tell what is known of these versions."""
    shown = ", ".join(f"{library} {write(version)}" for library, version in found.items())
    yield Finding(status="ok", subject="versions", text=shown)
    for fault in FAULTS:
        version = found.get(fault.library)
        if version is None or not fault.concerns(version):
            continue
        if fault.unless and importlib.util.find_spec(fault.unless) is not None:
            continue
        yield Finding(
            status="ok" if fault.is_avoided else "warn",
            subject="versions",
            text=f"{fault.library} {write(version)}: {fault.text} ({fault.source})",
            mend=f"{fault.library} {write(fault.mended)} is without it; a distribution may have mended it "
            "under the old number",
        )


def write(version: Version) -> str:
    """Write a version as people do."""
    return ".".join(map(str, version))
