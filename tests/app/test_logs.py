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
structlog.get_logger("tidings.weather").warning("it_rains", where="here")
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


def test_a_file_gets_no_colours():
    shown = logged_to_a_file()
    assert b"it_rains" in shown
    assert b"\x1b" not in shown


@pytest.mark.parametrize(("variables", "expected"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_a_terminal_gets_colours_unless_it_wants_none(variables, expected):
    shown = await asyncio.to_thread(logged_to_a_terminal, **variables)
    assert b"it_rains" in shown
    assert (b"\x1b" in shown) is expected
