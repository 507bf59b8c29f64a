"""Reloading: what of the configuration and its files is read anew while the server runs.

A part takes over some options and files; the options that no part takes over need a restart, and are named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

import structlog

from tidings.app import certificates, data_directory, tls_contexts
from tidings.app.differences import differences, pattern
from tidings.app.layers import Place, write_place
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.app.tls_contexts import Certificates, some
from tidings.kernel.domains import Domains, Source
from tidings.kernel.log_levels import LogLevels
from tidings.operations.context import Reloaded
from tidings.operations.errors import OperationError

log = structlog.get_logger("tidings")

_NAMED: Final = 20  # changed options that are named


class Done(NamedTuple):
    """What a part has done, and what it could not do, a sentence each."""

    done: tuple[str, ...]
    problems: tuple[str, ...] = ()


class Part(Protocol):
    """Something that can be changed while the server runs."""

    options: frozenset[str]
    """The options that it takes over, as `tls.key`; a domain is written `*`."""

    async def reload(self, config: Config) -> Done:
        """Take over what the configuration says now; what cannot be used is told, and the old stays."""
        ...


class Reloader:
    """Reads the configuration anew and lets every part take over its own."""

    def __init__(self, config: Config, read: Callable[[], Config]) -> None:
        """Begin with the configuration that was read at the start; `read` reads it again, as it was then."""
        self._started_with = config
        self._read = read
        self._one_at_a_time = asyncio.Lock()
        self._parts: list[Part] = []
        self._data_dir = config.server.data_dir

    def run_on(self, config: Config, parts: Iterable[Part]) -> None:
        """Know the data directory that the server runs on, and its parts."""
        self._data_dir = config.server.data_dir
        self._parts += parts

    async def reload(self) -> Reloaded:
        """Reload, and log what that did. Raises `OperationError` where the configuration cannot be used."""
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(self._read)
            except ConfigError as error:
                log.error("reload_failed", problem=str(error))
                raise OperationError("conflict", _refusal(error)) from None
            runs_on = data_directory.with_directory(config, self._data_dir)
            results = [await part.reload(runs_on) for part in self._parts]
            changed = await asyncio.to_thread(differences, self._started_with, config)
        taken = frozenset[str]().union(*(part.options for part in self._parts))
        problems = tuple(problem for result in results for problem in result.problems)
        reloaded = Reloaded(
            complete=not problems,
            done=tuple(text for result in results for text in result.done),
            problems=problems,
            needs_restart=_write([place for place in changed if pattern(place) not in taken]),
        )
        for problem in problems:
            log.error("reload_failed", problem=problem)
        log.info("reloaded", done=reloaded.done, needs_restart=reloaded.needs_restart)
        return reloaded

    async def reload_unasked(self) -> None:
        """Reload for somebody who gets no answer but the log."""
        try:
            await self.reload()
        except OperationError:
            return  # it is logged


class CertificateReload:
    """Reads certificates anew; the next handshake shows them."""

    options = frozenset({"tls.certificate", "tls.key", "tls.directory", "host.*.certificate", "host.*.key"})

    def __init__(self, served: Iterable[Certificates], domains: Domains) -> None:
        self._served = tuple(served)
        self._domains = domains

    async def reload(self, config: Config) -> Done:
        """Read the files of every domain that is served."""
        pairs = await asyncio.to_thread(self._pairs, config, self._added())
        try:
            await asyncio.to_thread(tls_contexts.make_own, pairs)
        except certificates.CertificateError as error:
            return Done((), (str(error),))
        first, *others = [await served.reload(pairs) for served in self._served]
        problems = dict.fromkeys(problem for found in (first, *others) for problem in found.problems)
        names = [domain for _, domains in first.changed for domain in domains]
        await asyncio.to_thread(tls_contexts.warn, {name: pairs[name] for name in names})
        of_whom = f" ({some(names)})" if names else ""
        told = f"certificates: {len(first.changed)} read anew{of_whom}, {first.unchanged} unchanged"
        return Done((told,), tuple(problems))

    def _added(self) -> list[str]:
        """Give the domains that were added while the server runs."""
        served = ((domain, self._domains.get(domain)) for domain in self._domains)
        return [domain for domain, each in served if each is not None and each.source is Source.DATABASE]

    def _pairs(self, config: Config, added: Iterable[str]) -> dict[str, certificates.Pair]:
        """Find the files of every domain that the server serves now, whatever the configuration has since."""
        found = {
            domain: pair for domain, pair in certificates.pairs_of(config).items() if domain in self._domains
        }
        for domain in added:
            pair = certificates.find_pair(config.certificate_directory, domain)
            if pair is not None and domain not in found:
                found[domain] = pair
        return found


class LogReload:
    """Takes over the level of the log."""

    options = frozenset({"log.level"})

    def __init__(self, levels: LogLevels) -> None:
        self._levels = levels

    async def reload(self, config: Config) -> Done:
        """Use the configured level, where no other was set since the start."""
        is_other = self._levels.configure(config.log.level)
        return Done((f"log: level {config.log.level}",) if is_other else ())


def _refusal(error: ConfigError) -> str:
    told = "; ".join(str(mistake) for mistake in error.mistakes)
    return f"the configuration cannot be used, and everything stays as it is: {told}"


def _write(places: list[Place]) -> tuple[str, ...]:
    """Name options for people: `[limits] login_seconds`; those of many domains not one by one."""
    told = [
        f"[{write_place(place)}]"
        if len(place) == 2 and place[0] == "host"
        else f"[{write_place(place[:-1])}] {place[-1]}"
        for place in places
    ]
    rest = len(told) - _NAMED
    return (*told[:_NAMED], *([f"{rest} more"] if rest > 0 else ()))
