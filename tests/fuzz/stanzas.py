"""Stanzas of all kinds, valid and nearly so, on connections of every kind to a running server.

After each batch: every iq that asked something has one answer, and only one; the log tells of no bug; others
can still log in, ping and write to each other; and over the whole run memory stays where it was.
"""

from __future__ import annotations

import functools
import random

from lxml import etree

from tests.fuzz.budget import Budget, Finding, Outcome
from tests.fuzz.guest import PASSWORD, Guest
from tests.fuzz.mutations import stanza
from tests.fuzz.payloads import PEOPLE
from tests.fuzz.watch import Watch, on_a_server
from tests.harness.server_process import ServerProcess
from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns

PROMISE = "whatever stanzas come: each iq is answered once, others are served, no bug, no growth"
TRANSPORTS = ("tcp", "tcp", "websocket", "bosh")
_SENDERS = (*PEOPLE, "root")  # who administers the server
_STANZAS = 40
_CASES_OF_A_GENERATION = 20  # then other accounts come, whose lists block nobody
_UNDECIDED = range(260_000, 262_145)  # of octets, to which a transport adds some
_NO_SURPRISE = {
    *("", "invalid-from", "policy-violation", "not-well-formed", "unsupported-stanza-type", "bad-format"),
    *("conflict", "invalid-namespace", "not-authorized", "BOSH remote-stream-error", "reset"),
}
"""Why a stream may end for what is sent here."""


def run(budget: Budget) -> Outcome:
    """Start a server and try stanzas on it."""
    return on_a_server(functools.partial(fuzz, budget), TIDINGS_SERVER__ADMINS="root@localhost")


async def fuzz(budget: Budget, server: ServerProcess) -> Outcome:
    """Try stanzas on a server that runs."""
    outcome = Outcome()
    # Nobody may make an account of an administrator's name for himself.
    made = server.command("account", "register", "--user", "root@localhost", "--password", PASSWORD)
    assert made.returncode == 0, made.stderr
    watch = Watch(server)
    await watch.begin()
    party = Party(server)
    for number in budget.numbers(outcome):
        chance = budget.chance(number)
        await party.enter(number // _CASES_OF_A_GENERATION, chance)
        given, found = await party.batch(chance, outcome, f"c{number}")
        found += await watch.look(number)
        outcome.findings += [Finding(budget.case(number), what, given) for what in found]
    await party.leave()
    found = await watch.end(outcome)
    outcome.findings += [Finding(budget.case(0), what, b"") for what in found]
    return outcome


class Party:
    """Those who send."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._guests: dict[str, Guest] = {}
        self._generation = -1

    async def enter(self, generation: int, chance: random.Random) -> None:
        """Log in who is not there, with accounts of this generation."""
        if generation != self._generation:
            await self.leave()
            self._generation = generation
        for person in _SENDERS:
            guest = self._guests.get(person)
            if guest is None or guest.condition is not None:
                if guest is not None:
                    await guest.leave()
                name = person if person == "root" else f"{person}-{generation}"
                self._guests[person] = await self._log_in(name, chance.choice(TRANSPORTS))

    async def _log_in(self, name: str, transport: str) -> Guest:
        """Log in; who may no more, since an administrator has banned him, takes another name."""
        for mark in ("", "b", "c", "d"):
            guest = Guest(self._server, name + mark, transport)
            try:
                await guest.enter()
            except AssertionError:
                await guest.leave()
                continue
            await guest.send("<presence/>")
            return guest
        raise AssertionError(f"{name} cannot log in: {self._server.log_tail(5)}")

    async def leave(self) -> None:
        """Log everybody out."""
        for guest in self._guests.values():
            await guest.leave()
        self._guests.clear()

    async def batch(self, chance: random.Random, outcome: Outcome, mark: str) -> tuple[bytes, list[str]]:
        """Have one of them send stanzas; give these and what was wrong about the answers."""
        guest = self._guests[chance.choice(_SENDERS)]
        given, asked, of_others = [], set(), set()
        for number in range(_STANZAS):
            identity = f"{mark}-{number}"
            try:
                element = stanza(chance, identity, f"{guest.name.partition('-')[0]}@localhost/fuzz")
                raw = element.to_bytes(ns.CLIENT)
                etree.fromstring(raw)
            except (ValueError, etree.XMLSyntaxError):
                continue  # what is no XML is another fuzzer's; lxml refuses namespaces that are no URI, too
            is_too_much = _is_too_much(raw, guest.transport)
            if len(raw) in _UNDECIDED or (guest.transport == "bosh" and is_too_much):
                continue  # by BOSH it is the request that is refused, and the session waits for another
            xml = self._with_names(raw.decode())
            if (element.namespace, element.name) == (ns.CLIENT, "iq") and element.get("type") in {
                "get",
                "set",
            }:
                # Another of these clients has to answer, which may have blocked the one who asks.
                is_others = (element.get("to") or "").endswith("/fuzz")
                (of_others if is_others else asked).add(identity)
            given.append(xml)
            outcome.counts[f"stanzas by {guest.transport}"] += 1
            await guest.send(xml)
            if is_too_much:
                asked.add(f"{mark}-end")  # which nothing answers but the end of the stream
                break
        else:  # who has sent too much hears why, unless he goes on: his library forgets then what has come
            asked.add(last := f"{mark}-last")
            await guest.send(f"<iq type='get' id='{last}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
        is_answered = await guest.until_answered(asked)
        return "\n".join(given).encode(), self._judge(guest, is_answered, asked, of_others, outcome)

    def _judge(
        self, guest: Guest, is_answered: bool, asked: set[str], of_others: set[str], outcome: Outcome
    ) -> list[str]:
        found = []
        outcome.counts["iqs that asked the server"] += len(asked)
        outcome.counts["iqs that asked other clients"] += len(of_others)
        if not is_answered:
            found.append(f"never answered: {sorted(asked - guest.answers.keys())}")
        if twice := [identity for identity, count in guest.answers.items() if count > 1 and identity]:
            found.append(f"answered more than once: {twice}")
        if guest.condition is not None:
            outcome.counts[f"streams that ended: {guest.condition or 'in order'}"] += 1
            if guest.condition not in _NO_SURPRISE:
                tail = self._server.log_tail(2)
                found.append(
                    f"the stream of {guest.name} by {guest.transport} ended: {guest.condition}\n{tail}"
                )
        guest.answers.clear()
        guest.bodies.clear()
        return found

    def _with_names(self, xml: str) -> str:
        for person in PEOPLE:
            xml = xml.replace(f"{person}@", f"{person}-{self._generation}@")
        return xml


def _is_too_much(raw: bytes, transport: str) -> bool:
    """Tell whether a stanza ends the stream; in BOSH's wrapper it stands one level deeper."""
    limits = XmlLimits(depth=63, elements=16_383) if transport == "bosh" else XmlLimits()
    try:
        FrameParser(limits).parse(raw)
    except StreamError:
        return True
    return False
