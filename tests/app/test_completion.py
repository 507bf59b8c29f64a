"""Completion: what a word can become, and real shells that are told so."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time

import pytest

from tidings.app import commands
from tidings.app.completion import FILES, SCRIPTS, candidates
from tidings.app.direct_commands import DIRECT, SHELLS
from tidings.operations.all import CATALOGUE


def found(*words):
    return [each.text for each in candidates(commands.shipped(), words)]


def test_the_first_word_is_a_command_or_a_category():
    assert found("") == found() == [*DIRECT, *CATALOGUE.categories()]
    assert found("ser") == ["serve", "server"]
    assert found("nothing") == []


def test_the_second_word_is_an_operation():
    assert found("account", "ch") == ["check", "check-password", "change-password"]
    assert found("acount", "") == []


def test_flags_are_offered_once_unless_they_may_be_repeated():
    flags = found("account", "ban", "--user", "a@localhost", "")
    assert "--user" not in flags
    assert {"--reason", "--json", "--quiet", "--config", "--data-dir"} <= set(flags)
    assert "--domain" in found("serve", "--domain", "example.org", "--d")
    assert "--administrators" in found("domain", "add", "--administrators", "a@localhost", "--")
    assert "--yes" in found("account", "remove", "--")
    assert found("account", "list", "--no-b") == ["--no-banned"]
    assert found("retention", "erase-message", "--no") == []


def test_a_flag_that_takes_a_value_is_followed_by_what_that_can_be():
    assert found("stanza", "send-message", "--kind", "") == ["chat", "headline", "normal"]
    assert found("stanza", "send-message", "--kind", "h") == ["headline"]
    assert found("account", "ban", "--user", "") == []
    assert found("account", "ban", "--config", "") == found("serve", "--data-dir", "x") == [FILES]


def test_commands_that_are_no_operations_have_words_too():
    assert found("completion", "") == list(SHELLS)
    assert found("backup", "ver") == ["verify", FILES]
    assert "verify" not in found("backup", "verify", "")
    assert found("restore", "--data-dir", "d", "x") == [FILES]


def test_there_is_a_script_for_every_shell():
    assert tuple(SCRIPTS) == SHELLS


@pytest.fixture
def directory(tmp_path):
    """Give a directory with the command, as a shell finds it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/tidings"
    path = os.pathsep.join(filter(None, sys.path))
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -m tidings.app.cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "tidings-of-mine.toml").touch()
    return tmp_path


def environment(directory):
    return {"PATH": f"{directory / 'bin'}:{os.environ['PATH']}", "HOME": str(directory), "TERM": "dumb"}


def needed(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: run tests/install.sh as root")
    return shell


class Shell:
    """A shell in a terminal, with somebody who types."""

    def __init__(self, command, directory):
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment(directory),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def types(self, text):
        os.write(self._ours, text.encode())

    def shows(self, text, seconds=30):
        """Wait until the terminal shows a text, and give all that it showed until then."""
        shown, end = "", time.monotonic() + seconds
        while text not in shown:
            ready, _, _ = select.select([self._ours], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} has not come: {shown!r}"
            shown += os.read(self._ours, 4096).decode(errors="replace")
        return shown

    def end(self):
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(tidings completion bash)"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -Uz compinit; compinit -u -D; source <(tidings completion zsh)",
    ),
}


@pytest.fixture(params=START)
def shell(request, directory):
    command, prepare = START[request.param]
    needed(request.param)
    shell = Shell(command, directory)
    shell.types(f"{prepare}; echo rea''dy\n")
    shell.shows("ready")
    yield shell
    shell.end()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tidings sess\t", "session "),
        ("tidings account unb\t", "unban "),
        ("tidings account remove --y\t", "--yes "),
        ("tidings stanza send-message --kind head\t", "headline "),
        ("tidings account list --config tidings-of\t", "tidings-of-mine.toml "),
        ("tidings restore tidings-of\t", "tidings-of-mine.toml "),
        ("tidings account ch\t\t", "change-password"),
    ],
)
def test_a_shell_completes_what_is_typed(shell, typed, completed):
    shell.types(typed)
    shell.shows(completed)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("tidings sess", "session\tlist, count, kick"),
        ("tidings account unb", "unban\tLet a banned account log in again."),
        ("tidings stanza send-message --kind head", "headline"),
        ("tidings account list --config tidings-of", "tidings-of-mine.toml"),
    ],
)
def test_fish_completes_what_is_typed(directory, typed, completed):
    script = f'tidings completion fish | source; complete -C "{typed}"'
    done = subprocess.run(
        [needed("fish"), "--no-config", "-c", script],
        cwd=directory,
        env=environment(directory),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(completed), done
