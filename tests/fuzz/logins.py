"""Sequences before log-in, sent to a running server by TCP, TLS, WebSocket and BOSH."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import re

import aiohttp

from tests.fuzz.budget import Budget, Finding, Outcome
from tests.fuzz.doors import BoshDoor, Door, TcpDoor, WebSocketDoor
from tests.fuzz.login_script import Kind, Script
from tests.fuzz.watch import Watch, on_a_server
from tests.harness.server_process import ServerProcess
from tidings.wire.xmpp import ns

PROMISE = "whatever comes on a connection before log-in: an answer or an end, no hang, nobody gets in"
_PASSWORD = "secret-of-somebody"
_CASES_OF_AN_ACCOUNT = 4  # after some failures the log-ins of an account wait
_CHALLENGE = re.compile(r"<challenge[^>]*>([^<]*)</challenge>")
_ESTABLISHED = re.compile(r"<jid>|<bound |<resumed ")


def run(budget: Budget) -> Outcome:
    """Start a server and try sequences on it."""
    return on_a_server(functools.partial(fuzz, budget))


async def fuzz(budget: Budget, server: ServerProcess) -> Outcome:
    """Try sequences on a server that runs, several beside each other."""
    outcome = Outcome()
    watch = Watch(server)
    await watch.begin()
    for number in budget.numbers(outcome):
        chance = budget.chance(number)
        name = f"user{number // _CASES_OF_AN_ACCOUNT}"
        with contextlib.suppress(RuntimeError):  # there is one
            await asyncio.to_thread(server.register, name, _PASSWORD)
        stranger = Stranger(server, chance, Script(chance, name, _PASSWORD, "localhost"))
        found = await stranger.run(outcome)
        if number % 10 == 9 or found:
            found += await watch.look(number)
        outcome.findings += [Finding(budget.case(number), what, stranger.given) for what in found]
    found = [*await watch.look(-1), *await watch.end(outcome)]
    outcome.findings += [Finding(budget.case(0), what, b"") for what in found]
    return outcome


class Stranger:
    """One connection that sends what a script says."""

    def __init__(self, server: ServerProcess, chance: random.Random, script: Script) -> None:
        self._chance = chance
        self._script = script
        self._kind = chance.choice(("tcp", "tcp", "tls", "websocket", "bosh"))
        self._door = self._open(server)
        self._sent: list[str] = [self._kind]

    @property
    def given(self) -> bytes:
        """The door, and what was sent there, a step on each line."""
        return "\n".join(self._sent).encode()

    async def run(self, outcome: Outcome) -> list[str]:
        """Send all of it; give what is wrong."""
        door = self._door
        outcome.counts[f"sequences by {self._kind}"] += 1
        try:
            await door.enter()
            return await self._talk(outcome)
        except (TimeoutError, aiohttp.ClientError) as error:
            return [f"no answer to a request: {error!r}"]
        finally:
            await door.leave()

    def _open(self, server: ServerProcess) -> Door:
        match self._kind:
            case "websocket":
                return WebSocketDoor(server)
            case "bosh":
                return BoshDoor(server)
            case _:
                return TcpDoor(server, self._chance, is_direct=self._kind == "tls")

    async def _talk(self, outcome: Outcome) -> list[str]:
        door, script, found = self._door, self._script, []
        is_whole = True  # nothing has begun that swallows what follows
        for step in script.steps():
            if door.is_closed or _ESTABLISHED.search(door.heard):
                break
            try:
                default = ns.CLIENT if self._kind in {"tcp", "tls"} else ""
                raw = step.raw if step.element is None else step.element.to_bytes(default).decode()
            except ValueError:
                continue  # characters that XML has not
            known = len(door.heard)
            self._sent.append(f"{step.kind.name} {raw or step.attributes}")
            outcome.counts["steps"] += 1
            await door.send(step, raw)
            is_whole &= step.kind is not Kind.RAW
            has_answer = step.kind in {Kind.ELEMENT, Kind.HEADER} and is_whole
            if has_answer and self._chance.random() < 0.8 and not await door.until_news(known):
                found.append(f"no answer by {self._kind} to {self._sent[-1]} after {door.heard[-300:]}")
                break
            for challenge in _CHALLENGE.findall(door.heard[known:]):
                script.challenge = challenge
        if not await door.finish():
            found.append(f"no end by {self._kind} after {door.heard[-300:]}")
        return found + self._judge(outcome)

    def _judge(self, outcome: Outcome) -> list[str]:
        heard, is_proven, found = self._door.heard, self._script.is_proven, []
        outcome.counts["log-ins"] += "<success" in heard
        outcome.counts["sessions"] += _ESTABLISHED.search(heard) is not None
        if "<success" in heard and not is_proven:
            found.append(f"a log-in without right credentials: {heard[-500:]}")
        if _ESTABLISHED.search(heard) and "<success" not in heard:
            found.append(f"a session without a log-in: {heard[-500:]}")
        for condition in re.findall(r"<stream:error[^>]*>\s*<([a-z-]+)", heard):
            outcome.counts[f"ended with {condition}"] += 1
            if condition in {"internal-server-error", "undefined-condition"}:
                found.append(f"ended with {condition}: {heard[-500:]}")
        return found
