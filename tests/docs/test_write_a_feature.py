"""The page "write a feature": its files are those of tests/extension, and who follows it gets what it says.

What the package does, and that its own tests pass where it is installed, is tried in tests/extending.
"""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.extension import PACKAGE, install
from tests.harness.server_process import START_SECONDS, STOP_SECONDS, tidings_command

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-feature.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_the_page_shows_every_file_of_the_package():
    paths = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert set(FILES) == {str(path.relative_to(PACKAGE)) for path in paths}


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_the_page_shows_is_what_the_file_has(name):
    assert FILES[name] == (PACKAGE / name).read_text(encoding="utf-8")


def test_who_follows_the_page_gets_what_it_says(tmp_path):
    """Everything but what needs the network: pip installs from the folder alone."""
    folder = tmp_path / "word-filter"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    site = install(folder, tmp_path / "site")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "PATH": os.pathsep.join([str(tidings_command().parent), os.environ["PATH"]]),
    }

    def run(line):
        return subprocess.run(
            ["sh", "-c", line],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    checked = run("tidings check")
    assert checked.returncode == 0
    assert "word-filter, of tidings-word-filter 0.1.0: `word_filter`" in checked.stdout
    serve = LINES.index("tidings serve")
    assert LINES[serve - 1] == "tidings check"
    with subprocess.Popen(
        shlex.split(LINES[serve]), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert any("Stop with Ctrl-C" in line for line in server.stdout)
        *registered, sent, counted = (run(line) for line in LINES[serve + 1 :] if "tidings" in line)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=STOP_SECONDS)
        assert server.returncode == 0
    assert [done.returncode for done in registered] == [0, 0]
    assert (sent.returncode, sent.stderr) == (1, "tidings: your message has a word that is not used here\n")
    assert "filtered  1" in counted.stdout
