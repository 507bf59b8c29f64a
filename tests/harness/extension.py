"""Extensions for tests: the package of tests/extension as a user installs it, and small ones made here.

A directory with an installed package is put on the path of this process for as long as a test needs it, or
on that of a server by PYTHONPATH.
"""

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

PACKAGE = Path(__file__).parents[1] / "extension"


def install(package: Path, target: Path) -> Path:
    """Build and install a package with pip, without the network."""
    command = ["-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, *command, "--quiet", "--target", str(target), str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def write_package(target: Path, module: str, source: str, version: str = "1.0", **entry_points: str) -> None:
    """Write what an installed package of one module looks like; underscores of entry points become dashes."""
    target.mkdir(exist_ok=True)
    (target / f"{module}.py").write_text(dedent(source))
    info = target / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    lines = [f"{name.replace('_', '-')} = {module}:{thing}" for name, thing in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[tidings.features]", *lines, ""]))


@contextlib.contextmanager
def on_path(directory: Path) -> Iterator[None]:
    """Let this process import what is in the directory; afterwards it has never heard of it."""
    before = set(sys.modules)
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(directory))
        for name, module in list(sys.modules.items()):
            if name not in before and str(getattr(module, "__file__", "")).startswith(str(directory)):
                del sys.modules[name]
