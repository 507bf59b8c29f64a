"""The word filter in a running server, by the command line."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CONFIGURATION = (Path(__file__).parents[1] / "tidings.toml").read_text()


class Server:
    """A server with a directory of its own and two accounts, alice and bob."""

    def __init__(self, directory: Path, action: str) -> None:
        self.directory = directory
        section = "[features.word_filter]\n"
        configuration = CONFIGURATION.replace(section, f'{section}action = "{action}"\n')
        (directory / "tidings.toml").write_text(configuration)
        (directory / "data").mkdir(mode=0o700)
        for name in ("alice", "bob"):
            self.run("account", "register", "--user", f"{name}@localhost", "--password", "-", secret="secret")
        self.process = subprocess.Popen(
            ["tidings", "serve"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in self.process.stdout:
            if "Stop with Ctrl-C" in line:
                return
        raise RuntimeError("the server has not started")

    def run(self, *words: str, secret: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of `tidings` on this server."""
        return subprocess.run(
            ["tidings", *words], cwd=self.directory, input=secret, capture_output=True, text=True, check=False
        )

    def send(self, text: str) -> subprocess.CompletedProcess[str]:
        """Send a message from alice to bob."""
        addresses = ("--sender", "alice@localhost", "--to", "bob@localhost")
        return self.run("stanza", "send-message", *addresses, "--body", text)

    def filtered(self) -> int:
        """Tell how many messages of alice were filtered."""
        return json.loads(self.run("word-filter", "count", "--user", "alice@localhost", "--json").stdout)[
            "filtered"
        ]

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    running = []

    def start(action: str) -> Server:
        running.append(Server(tmp_path, action))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def test_a_message_with_the_word_is_refused_and_counted(start: Callable[[str], Server]) -> None:
    server = start("refuse")
    refused = server.send("Swordfish, anyone?")
    assert refused.returncode == 1
    assert "your message has a word that is not used here" in refused.stderr
    assert server.send("Swordfishes are another word.").returncode == 0
    assert server.filtered() == 1


def test_the_word_is_blotted_out_in_what_is_kept(start: Callable[[str], Server]) -> None:
    server = start("rewrite")
    assert server.send("Swordfish, anyone?").returncode == 0
    archive = server.run("archive", "sync", "--user", "bob@localhost", "--json").stdout
    assert "***, anyone?" in archive
    assert server.filtered() == 1
