"""The Debian package for the tests that install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.debian_root import NEW, OLD, PROJECT


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The package in two versions: built once, and packed again under another number.

    TIDINGS_PACKAGE names one that is built already, as the newer version.
    """
    folder = tmp_path_factory.mktemp("packages")
    built = Path(os.environ.get("TIDINGS_PACKAGE", ""))
    if not built.name:
        build = [PROJECT / "packaging/debian/build", sys.executable, folder]
        subprocess.run(build, env=os.environ | {"TIDINGS_VERSION": NEW}, check=True)
        [built] = folder.glob("*.deb")
    unpacked = folder / "unpacked"
    subprocess.run(["dpkg-deb", "-R", built, unpacked], check=True)
    control = unpacked / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {NEW}\n", f"Version: {OLD}\n"))
    old = folder / "old.deb"
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", unpacked, old], check=True)
    shutil.rmtree(unpacked)
    return {OLD: old, NEW: built}
