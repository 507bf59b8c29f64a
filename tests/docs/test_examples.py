"""The examples of the documentation do what the pages say: configurations load, commands run, Python runs."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from tests.harness.server_process import ServerProcess
from tidings.adapters.memory import MemoryStores
from tidings.app import config
from tidings.app.known_features import known_features
from tidings.base.jid import Jid

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
USAGE, UNREACHABLE = 2, 3
NOT_OPERATIONS = {"serve", "check", "backup", "restore", "migrate", "import", "export", "shell"}
"""These have suites of their own: tests/app, tests/dialogs, tests/interop."""


def blocks(language: str) -> Iterator[object]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            yield pytest.param(match[1], id=f"{page.relative_to(ROOT)}:{line}")


def commands() -> Iterator[object]:
    for block in blocks("console"):
        (text,) = block.values
        for line in text.splitlines():
            match = re.search(r"(?:^\$ |\| |\$ \S+=\S+ )(?:\.venv/bin/)?tidings ([a-z][^|>&]*)", line)
            if match is not None and match[1].split()[0] not in NOT_OPERATIONS:
                yield pytest.param(match[1].strip(), id=f"{block.id} {match[1].strip()}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    domains = '\n[host."example.org"]\n'
    running = ServerProcess.start(tmp_path_factory.mktemp("examples"), extra_configuration=domains)
    yield running
    running.stop()


@pytest.mark.parametrize("text", [*blocks("toml")])
def test_a_configuration_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(text, encoding="utf-8")
    (tmp_path / "database-url").write_text("postgresql://tidings:password@localhost/tidings\n")
    (tmp_path / "s3-key").write_text("secret\n")
    config.load(file, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, {}, known_features())


@pytest.mark.parametrize("command", [*commands()])
def test_a_command_is_understood(command: str, server: ServerProcess) -> None:
    """It may be refused, as when it names somebody who is not there; it is no wrong usage."""
    done = server.command(*shlex.split(command), input="a password for examples\n")
    assert done.returncode not in {USAGE, UNREACHABLE}, done.stdout + done.stderr


@pytest.mark.parametrize("text", [*blocks("python")])
async def test_python_runs(text: str) -> None:
    async def open_stores(_url: str) -> MemoryStores:
        return MemoryStores()

    source = "async def example():\n" + indent(text, "    ")
    namespace: dict[str, object] = {"open_stores": open_stores, "MemoryStores": MemoryStores, "Jid": Jid}
    exec(compile(ast.parse(source), "example", "exec"), namespace)
    await namespace["example"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{target} is not there"
