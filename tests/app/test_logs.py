"""Logs as an operator finds them in a terminal and in a file."""

import asyncio
import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
from tidings.app.logs import configure_logs
from tidings.app.options import LogOptions
from tidings.kernel.clock import SystemClock
import structlog
configure_logs(LogOptions(format="text"), SystemClock())
log = structlog.get_logger("tidings.weather")
log.warning("it_rains", where="here")
log.info("it_is_dry")
log.error("it_storms", exc_info=OSError("no umbrella"))
"""


def environment(**more):
    return {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm", **more}


def logged_to_a_file():
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment(), capture_output=True, check=True)
    return done.stderr


def logged_to_a_terminal(**variables):
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment(**variables), stderr=theirs, check=True
        )
        return os.read(ours, 10_000)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("is_journal", [True, False])
def test_the_journal_is_told_how_severe_a_line_is(tmp_path, is_journal):
    with (tmp_path / "log").open("wb") as file:
        found = os.fstat(file.fileno())
        named = (
            f"{found.st_dev}:{found.st_ino + (not is_journal)}"  # else what a shell below systemd inherits
        )
        variables = environment(JOURNAL_STREAM=named)
        subprocess.run([sys.executable, "-c", PROGRAM], env=variables, stderr=file, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert any("no umbrella" in line for line in lines)
    begins = {
        line.partition(" ")[0][:3] for line in lines if "rains" in line or "dry" in line or "storms" in line
    }
    assert begins == ({"<4>", "<6>", "<3>"} if is_journal else {"202"})
    assert all(line.startswith("<") == is_journal for line in lines)


def test_a_file_gets_no_colours():
    shown = logged_to_a_file()
    assert b"it_rains" in shown
    assert b"\x1b" not in shown


@pytest.mark.parametrize(("variables", "expected"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_a_terminal_gets_colours_unless_it_wants_none(variables, expected):
    shown = await asyncio.to_thread(logged_to_a_terminal, **variables)
    assert b"it_rains" in shown
    assert (b"\x1b" in shown) is expected
