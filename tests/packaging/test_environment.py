"""What `make serve` installs anybody can run; one sees that it goes on; one sentence says why it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/simple"  # the port of a service that nobody runs


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that other users may enter, unlike those of pytest."""
    made = Path(tempfile.mkdtemp(prefix="tidings-environment-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return subprocess.run(
        [str(each) for each in command],
        cwd=PROJECT,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def make(folder: Path, *goals: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run("make", "--no-print-directory", f"VENV={folder}/venv", *goals, **variables)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_root_installs_another_user_can_run(folder: Path) -> None:
    """Also with a mask that would keep others out, and where the first Python on the path is root's own."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    (private / "python3").symlink_to("/usr/bin/python3")
    path = f"{private}:{os.environ['PATH']}"
    os.umask(0o077)
    try:
        done = make(folder, f"{folder}/venv/bin/python", PATH=path)
    finally:
        os.umask(0o022)
    assert done.returncode == 0, done.stderr
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    tried = run(*as_nobody, folder / "venv/bin/python", "-c", "import pip, sys; print(sys.prefix)")
    # Not what Python finds elsewhere where it may not look here.
    assert tried.stdout == f"{folder}/venv\n", tried.stderr
    home = (folder / "venv/pyvenv.cfg").read_text()
    assert f"home = {private}\n" not in home


def test_without_a_network_one_sentence_says_so(folder: Path) -> None:
    done = make(folder, "serve", PIP_INDEX_URL=NOWHERE)
    assert done.returncode != 0
    assert "The index of Python packages cannot be reached" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert len(done.stderr.splitlines()) <= 5, done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_it_shows_what_it_installs_and_says_what_pip_refuses(folder: Path) -> None:
    made = run("packaging/environment", "make", folder / "venv")
    assert made.returncode == 0, made.stderr
    for name, needs in (("anchor", "Requires-Dist: buoy"), ("buoy", "")):
        write_wheel(folder, name, needs)
    install = ["packaging/environment", "install", folder / "venv", "--no-index", "--find-links", folder]
    done = run(*install, "anchor")
    assert done.returncode == 0, done.stderr
    assert [line.strip() for line in done.stderr.splitlines()[1:]] == ["anchor", "buoy", "unpacking"]
    done = run(*install, "mast")
    assert done.returncode != 0
    assert "It failed: ERROR: Could not find a version that satisfies the requirement mast" in done.stderr
    assert len(done.stderr.splitlines()) <= 3, done.stderr


def test_an_old_python_is_told(folder: Path) -> None:
    old = folder / "python3.6"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run("packaging/environment", "make", folder / "venv", old)
    assert done.returncode == 1
    assert done.stderr == f"Tidings needs Python 3.11 or newer, which {old} is not.\n"


def write_wheel(folder: Path, name: str, needs: str) -> None:
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", tags)
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
