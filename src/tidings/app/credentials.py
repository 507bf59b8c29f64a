"""Credentials: secrets in files of their own, and the directory into which a service manager puts them.

systemd's LoadCredential= gives a service files that only root can read where they lie, and names their
directory in CREDENTIALS_DIRECTORY; see systemd.exec(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "CREDENTIALS_DIRECTORY"
_PREFIX: Final = f"${VARIABLE}/"


def expand(path: str, environment: Mapping[str, str]) -> str:
    """Give the path with the directory of credentials in place of its variable; raises `ValueError`."""
    if not path.startswith(_PREFIX):
        return path
    directory = environment.get(VARIABLE, "")
    if not directory:
        raise ValueError(
            f"begins with ${VARIABLE}, which is not set: the service alone has it, a command that does not "
            f"ask the running server needs it, too; set {VARIABLE} to a directory with that file"
        )
    return str(Path(directory) / path.removeprefix(_PREFIX))


def read_line(path: str) -> str:
    """Give the only line of a file; raises `ValueError` where it is not that."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"names {path}, which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"names {path}, which is not UTF-8") from None
    if len(lines) != 1 or not lines[0].strip():
        raise ValueError(f"names {path}, which has {len(lines)} lines; it must have one")
    return lines[0].strip()
