"""Which kind of system of files a directory is on, and what that means for what is kept there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "afs"}
)
"""Those that other machines may write to at the same time."""
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def kind_of(directory: Path, mounts: str) -> str:
    """Give the kind of the mount that a directory is on; `mounts` is as Linux' `mountinfo` writes it."""
    path = os.path.realpath(directory)
    found, longest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:  # up to the point where it is mounted
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        is_above = path == point or path.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= longest:  # what is mounted later lies above
            found, longest = after.split()[0], len(point)
    return found


def objection(kind: str) -> tuple[str, str]:
    """Say what is wrong with this kind for a database, and how it is mended; ("", "") where nothing is."""
    if kind in _NETWORK:
        return (
            f"on {kind}, a network's: SQLite needs a disk of this machine, and may damage its file here",
            "choose a directory of this machine as `data_dir` in [server], or use PostgreSQL",
        )
    if kind in _IN_MEMORY:
        return (
            f"on {kind}, which is forgotten when the machine starts anew",
            "choose a directory on a disk as `data_dir` in [server]",
        )
    return "", ""
