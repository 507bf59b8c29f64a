"""What `make dist` builds is the whole of it: it runs from the wheel alone, and tools find its types."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_SOURCE = ROOT / "src"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    building = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(building, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_has_everything_that_is_in_the_source(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    source = {
        str(path.relative_to(_SOURCE))
        for path in (_SOURCE / "tidings").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert source <= names
    assert "tidings/py.typed" in names
    assert not any("tests" in Path(name).parts for name in names)


def test_the_source_archive_has_what_a_packager_needs(built: Path) -> None:
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    needed = {"README.md", "Makefile", "packaging/environment", "docs/tutorial.md"}
    assert needed | {"pyproject.toml", "src/tidings/py.typed"} <= names
    assert not any(name.startswith((".venv", "data", "benchmarks/results")) for name in names)


def test_it_runs_from_the_wheel_alone(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path)
    program = (
        "import sys, tidings; from tidings.app.cli import main; print(tidings.__file__); sys.exit(main())"
    )
    (tmp_path / "data").mkdir(mode=0o700)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for words in (["account", "count"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-P", "-c", program, *words, "--data-dir", str(tmp_path / "data")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert done.stdout.startswith(f"{tmp_path}/tidings/__init__.py\n")
