"""Writes the file `copyright` of the Debian package: which Python packages are in it, and their licences.

It runs in the package's own virtual environment, whose metadata it reads.
"""

from __future__ import annotations

import importlib.metadata
import sys
from email.message import Message
from typing import cast


def licence(metadata: Message) -> str:
    """Give what a package says of its licence, in one line."""
    classified = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier") or []
        if each.startswith("License :: ")
    ]
    told = (
        metadata.get("License-Expression") or ", ".join(classified) or metadata.get("License") or "see below"
    )
    return str(told).splitlines()[0]


def main() -> None:
    """Print it, the packages by name."""
    sys.stdout.write(
        "This package was built from the source of Tidings.\n"
        "Copyright: 2026 the Tidings maintainers\n\n"
        "It holds these Python packages of others. Each has its licence and copyright in full\n"
        "in its folder below /usr/lib/tidings/lib/; the GNU Lesser General Public License is in\n"
        "/usr/share/common-licenses/LGPL-3:\n\n"
    )
    found = {each.metadata["Name"]: each for each in importlib.metadata.distributions()}
    for name in sorted(found, key=str.lower):
        if name != "tidings":
            metadata = cast("Message", found[name].metadata)
            sys.stdout.write(f"  {name} {found[name].version}: {licence(metadata)}\n")


if __name__ == "__main__":
    main()
