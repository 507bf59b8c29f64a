"""A desktop for one program with windows: a screen in memory, a session bus, a keyboard, a clipboard.

What the screen shows is read from the file that Xvfb keeps it in.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import shutil
import signal
import struct
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PATIENCE: Final = 40.0  # seconds; only a failing test waits that long
SIZE: Final = (1200, 800)
_QUIET: Final = """\
[Settings]
gtk-cursor-blink = false
gtk-enable-animations = false
"""
PROGRAMS: Final = ("Xvfb", "xdotool", "xclip", "dbus-daemon", "unshare")

AS_USER: Final = ("unshare", "--map-user=1000", "--map-group=1000")
"""Before a command: whoever runs the tests, root or not, is this user for it, and owns the same files."""


def png(width: int, height: int, rgb: bytes) -> bytes:
    """A picture of these pixels, three octets each, as a PNG file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + rgb[start : start + 3 * width] for start in range(0, len(rgb), 3 * width))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@dataclass(frozen=True)
class Picture:
    """What a screen showed."""

    width: int
    height: int
    pixels: array.array[int]
    """0xRRGGBB each."""

    def count(self, colour: int) -> int:
        """How many pixels have exactly this colour."""
        return self.pixels.count(colour)

    def png(self) -> bytes:
        """The picture as a file."""
        stored = self.pixels.tobytes()
        rgb = bytearray(3 * self.width * self.height)
        for place in range(3):
            rgb[place::3] = stored[2 - place :: 4]
        return png(self.width, self.height, bytes(rgb))


class Desktop:
    """Where a program runs and is used."""

    def __init__(self, home: Path, display: str, bus: str) -> None:
        self.home = home
        self._frame = home / "Xvfb_screen0"
        self.environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "DISPLAY": display,
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "GDK_BACKEND": "x11",
            "GSETTINGS_BACKEND": "memory",
            "NO_AT_BRIDGE": "1",
        }

    def picture(self) -> Picture:
        """What the screen shows now."""
        raw = self._frame.read_bytes()
        header = struct.unpack(">25I", raw[:100])  # of an XWD file
        width, height, colours = header[4], header[5], header[19]
        start = header[0] + 12 * colours
        assert header[11:13] == (32, 4 * width)
        stored = bytearray(raw[start : start + 4 * width * height])
        stored[3::4] = bytes(width * height)
        return Picture(width, height, array.array("I", bytes(stored)))

    async def shows(self, colour: int, pixels: int) -> None:
        """Wait until that many pixels have exactly this colour."""
        seen = 0
        try:
            async with asyncio.timeout(PATIENCE):
                while (seen := self.picture().count(colour)) < pixels:
                    await asyncio.sleep(0.1)  # there is no event to wait for in another process
        except TimeoutError:
            raise AssertionError(f"{seen} pixels are #{colour:06x}, not {pixels}") from None

    async def focus(self, title: str) -> None:
        """Wait for a window whose title has this, and give it the keyboard; the pointer goes away."""
        window = (await self.run("xdotool", "search", "--sync", "--onlyvisible", "--name", title)).split()[0]
        await self.run("xdotool", "windowfocus", "--sync", window, "mousemove", *map(str, SIZE))

    async def confirm(self, title: str) -> None:
        """Press Return in a dialogue that opens, as often as it asks for something, until it closes."""
        await self.focus(title)
        async with asyncio.timeout(PATIENCE):
            while await self._has_window(title):
                await self.rests()
                await self.press("Return")

    async def rests(self) -> None:
        """Wait until the screen shows the same for a second."""
        before, since = self.picture(), time.monotonic()
        async with asyncio.timeout(PATIENCE):
            while time.monotonic() < since + 1:
                await asyncio.sleep(0.1)  # there is no event to wait for in another process
                if (now := self.picture()) != before:
                    before, since = now, time.monotonic()

    async def _has_window(self, title: str) -> bool:
        return bool(await self.run("xdotool", "search", "--onlyvisible", "--name", title, may_fail=True))

    async def press(self, *keys: str) -> None:
        """Press keys, by the names that xdotool has for them."""
        await self.run("xdotool", "key", *keys)

    async def copy_files(self, *files: Path) -> None:
        """Have files in the clipboard, as after copying them in a file manager."""
        uris = "".join(f"{file.as_uri()}\r\n" for file in files)
        # xclip stays to answer whoever pastes, until the screen goes.
        xclip = "xclip -selection clipboard -target text/uri-list"
        await self.run("sh", "-c", f'printf %s "$0" | {xclip} >/dev/null 2>&1', uris)

    async def run(self, *command: str, may_fail: bool = False) -> str:
        """Run a command to its end and give its output, or nothing when it fails and may do so."""
        process = await asyncio.create_subprocess_exec(
            *AS_USER,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self.environment,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"{' '.join(command)} does not end") from None
        told = output.decode(errors="replace")
        assert may_fail or process.returncode == 0, f"{' '.join(command)}: {told}"
        return told if process.returncode == 0 else ""


@contextlib.asynccontextmanager
async def desktop(home: Path) -> AsyncIterator[Desktop]:
    """A desktop whose programs have this home directory."""
    for program in PROGRAMS:
        assert shutil.which(program), f"{program} is not installed: make interop installs it"
    (home / "run").mkdir(mode=0o700, parents=True)
    for version in ("gtk-3.0", "gtk-4.0"):
        settings = home / ".config" / version / "settings.ini"
        settings.parent.mkdir(parents=True)
        settings.write_text(_QUIET)
    size = f"{SIZE[0]}x{SIZE[1]}x24"
    screen = ("Xvfb", "-displayfd", "1", "-screen", "0", size, "-fbdir", str(home), "-nolisten", "tcp")
    bus = (*AS_USER, "dbus-daemon", "--session", "--nofork", "--print-address=1")
    async with (
        background(screen, home / "screen.log") as display,
        background(bus, home / "bus.log") as address,
    ):
        yield Desktop(home, f":{await _first_line(display)}", await _first_line(address))


async def _first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def background(
    command: tuple[str, ...], log: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command with its helpers, which end with the block; its errors go to the log."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if environment is None else errors,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
