"""Debian's Chromium without a window, driven through its DevTools protocol.

Whoever comes has a profile, as on a computer of his own. Nothing but loopback can be reached.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.harness.ports import HOST

CHROMIUM: Final = shutil.which("chromium")
PATIENCE: Final = 30.0  # seconds; only a failing test waits that long
_STOP_SECONDS: Final = 15
_LINES_KEPT: Final = 1000

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-features=BackForwardCache",  # a page that was left would go on
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
    "--window-size=1280,900",
    "--remote-debugging-port=0",
)


class Page:
    """What a tab shows."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self.console: deque[str] = deque(maxlen=_LINES_KEPT)
        """What the page has logged, its errors, and what went over its WebSockets."""

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol to the page and give the answer."""
        return await self._browser.ask(method, session=self._session, **parameters)

    async def go(self, url: str) -> None:
        """Load a page anew."""
        answer = await self.ask("Page.navigate", url=url)
        assert "errorText" not in answer, f"{url}: {answer['errorText']}"

    async def close(self) -> None:
        """Close the tab."""
        await self._browser.ask("Target.closeTarget", targetId=self._target)

    async def evaluate(self, expression: str) -> Any:
        """Give what JavaScript comes to, when it is there."""
        answer = await self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    async def until(self, expression: str, wanted: Any = True) -> None:
        """Wait until JavaScript comes to a value; AssertionError tells what it came to instead."""
        seen: Any = None
        try:
            async with asyncio.timeout(PATIENCE):
                while (seen := await self.evaluate(expression)) != wanted:
                    await asyncio.sleep(0.05)  # there is no event to wait for in another process
        except TimeoutError:
            told = "\n".join(self.console)
            raise AssertionError(f"{expression} is {seen!r} and not {wanted!r}; the page:\n{told}") from None

    async def logs(self, text: str) -> None:
        """Wait until something is in the console."""
        async with asyncio.timeout(PATIENCE):
            while not any(text in line for line in self.console):
                await asyncio.sleep(0.05)  # as above

    async def type(self, selector: str, text: str) -> None:
        """Type a line into a field, and Enter."""
        await self.until(f"!!document.querySelector({selector!r})")
        await self.evaluate(f"document.querySelector({selector!r}).focus()")
        await self.ask("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                windowsVirtualKeyCode=13,
                **({"text": "\r"} if kind == "keyDown" else {}),
            )

    async def picture(self) -> bytes:
        """What the page looks like, as PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot", format="png"))["data"])

    def hear(self, method: str, told: dict[str, Any]) -> None:
        """Keep what happens in the page."""
        if method == "Runtime.consoleAPICalled":
            values = (str(each.get("value", each.get("description", ""))) for each in told["args"])
            self.console.append(f"{told['type']}: {' '.join(values)}")
        elif method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            thrown = details.get("exception", {})
            self.console.append(f"uncaught: {thrown.get('description', details['text'])}")
        elif method in {"Network.webSocketFrameSent", "Network.webSocketFrameReceived"}:
            arrow = ">" if method.endswith("Sent") else "<"
            self.console.append(f"{arrow} {told['response']['payloadData']}")
        elif method == "Log.entryAdded":
            entry = told["entry"]
            self.console.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")


class Profile:
    """What a person has stored in a browser, and the tabs that share it."""

    def __init__(self, browser: Browser, context: str) -> None:
        self._browser = browser
        self._context = context

    async def open_tab(self) -> Page:
        """Open an empty tab."""
        answer = await self._browser.ask(
            "Target.createTarget", url="about:blank", browserContextId=self._context
        )
        return await self._browser.attach(answer["targetId"])


class Browser:
    """A browser that runs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    @contextlib.asynccontextmanager
    async def profile(self) -> AsyncIterator[Profile]:
        """Give a profile to somebody who has never been here; what it stores is gone afterwards."""
        context = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        yield Profile(self, context)
        await self.ask("Target.disposeBrowserContext", browserContextId=context)

    async def attach(self, target: str) -> Page:
        """Give the page of a tab."""
        session = (await self.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.ask(f"{domain}.enable")
        # A page behind others is painted seldom, and holds itself for one that nobody looks at.
        await page.ask("Emulation.setFocusEmulationEnabled", enabled=True)
        return page

    async def ask(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and give the answer."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters}
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(command if session is None else {**command, "sessionId": session})
        async with asyncio.timeout(PATIENCE):
            told = await answer
        assert "error" not in told, f"{method}: {told['error']}"
        return told["result"]

    async def listen(self) -> None:
        """Take answers and events until the browser ends."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._asked.pop(told["id"]).set_result(told)
            elif (page := self._pages.get(told.get("sessionId", ""))) is not None:
                page.hear(told["method"], told["params"])


@contextlib.asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """Run a browser, whose profile is in the folder."""
    assert CHROMIUM, "Chromium is not installed: make interop installs it"
    profile, log = folder / "chromium", folder / "chromium.log"
    profile.mkdir()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            *_FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "HOME": str(folder)},
            start_new_session=True,
        )
    try:
        address = await _address(profile / "DevToolsActivePort", process, log)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            browser = Browser(socket)
            listening = asyncio.ensure_future(browser.listen())
            yield browser
            await browser.ask("Browser.close")
            await listening
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its helpers are in its group
        await process.wait()


async def _address(file: Path, process: asyncio.subprocess.Process, log: Path) -> str:
    """Wait until the browser has written down where it listens."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (match := re.match(r"(\d+)\n(/\S+)", _text(file))):
                assert process.returncode is None, f"Chromium has ended\n{_text(log)}"
                await asyncio.sleep(0.05)  # there is no event to wait for in another process
    except TimeoutError:
        raise AssertionError(f"Chromium does not listen\n{_text(log)}") from None
    return f"ws://{HOST}:{match[1]}{match[2]}"


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
