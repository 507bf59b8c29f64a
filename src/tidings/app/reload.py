"""Reloading: what of the configuration and its files is read anew while the server runs.

A part takes over some options and files; the options that no part takes over need a restart, and are named.

Invariants:
- a configuration with a mistake changes nothing: everything is read and checked before anything is used;
- `running` is what the server uses: what it was started with, and what it has taken over since then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from tidings.app import data_directory, option_text
from tidings.app.differences import differences, is_taken, merged
from tidings.app.kept_configurations import KeptConfigurations, NothingKeptError, NotWritableError, undo
from tidings.app.known_features import KnownFeatures
from tidings.app.layers import Place
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.base.errors import BackendError
from tidings.operations.context import Difference, Differences, Reloaded, RolledBack
from tidings.operations.errors import Code, OperationError

log = structlog.get_logger("tidings")

_NAMED: Final = 20  # changed options that are named


class Prepared(NamedTuple):
    """What a part has read and found right, and what it cannot use, a sentence each."""

    use: Callable[[], object]
    """Uses what can be used; it cannot fail, and whoever is connected stays so."""
    done: tuple[str, ...] = ()
    """What that does, beside taking over options."""
    problems: tuple[str, ...] = ()


class Part(Protocol):
    """Something that can be changed while the server runs."""

    options: frozenset[str]
    """The options that it takes over, as `tls.key`; a domain is written `*`."""

    async def prepare(self, config: Config, *, dry_run: bool) -> Prepared:
        """Read all that the configuration names now, and use nothing of it yet.

        With `dry_run`, nothing is going to be used, and no file is made either. Raises `BackendError` where
        something is not to be known at this moment.
        """
        ...


class Setting:
    """A part that is a function of the configuration, which can use whatever has been found right."""

    def __init__(self, options: Iterable[str], use: Callable[[Config], object]) -> None:
        self.options = frozenset(options)
        self._use = use

    async def prepare(self, config: Config, *, dry_run: bool) -> Prepared:
        """Let the function use the configuration, when it is time."""
        del dry_run
        return Prepared(lambda: self._use(config))


class _Plan(NamedTuple):
    """What a reload would do at this moment."""

    text: bytes | None
    """The configuration file."""
    wanted: Config
    prepared: Sequence[tuple[Part, Prepared]]
    done: tuple[str, ...]
    problems: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Reloader:
    """Reads the configuration anew and lets every part take over its own."""

    def __init__(
        self,
        config: Config,
        read: Callable[[], Config],
        announced: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """Begin with the configuration that was read at the start; `read` reads it again, as it was then.

        Every reload happens within `announced`, which tells others of it.
        """
        self._announced = announced
        self.running = config
        """What the server uses, under the data directory that the configuration names."""
        self._read = read
        self._one_at_a_time = asyncio.Lock()
        self._parts: list[Part] = []
        self._taken = frozenset[str]()
        self._data_dir = config.server.data_dir
        self._known = KnownFeatures(())
        self._started_with = self._text()

    def run_on(self, config: Config, parts: Iterable[Part], known: KnownFeatures) -> None:
        """Know the data directory that the server runs on, its parts and its features."""
        self._data_dir = config.server.data_dir
        self._parts += parts
        self._taken = frozenset[str]().union(*(part.options for part in self._parts))
        self._known = known
        self._keep(self._started_with)

    @property
    def in_use(self) -> Config:
        """What the server uses, under the data directory that it runs on."""
        return data_directory.with_directory(self.running, self._data_dir)

    async def reload(self) -> Reloaded:
        """Reload, and log what that did. Raises `OperationError` where nothing was changed."""
        async with self._one_at_a_time, self._announced():
            return await self._reload()

    async def _reload(self) -> Reloaded:
        try:
            plan = await self._plan(dry_run=False)
        except ConfigError as error:
            raise _refused("conflict", _refusal(error)) from None
        except BackendError as error:
            raise _refused("unavailable", f"everything stays as it is: {error}") from None
        failed: set[str] = set()
        for part, prepared in plan.prepared:
            await _use(prepared)
            if prepared.problems:
                failed |= part.options
        self.running = await asyncio.to_thread(self._merged, plan.wanted, self._taken - failed)
        if not plan.problems:
            await asyncio.to_thread(self._keep, plan.text)
        for problem in plan.problems:
            log.error("reload_failed", problem=problem)
        log.info("reloaded", done=plan.done, needs_restart=plan.needs_restart)
        return _told(plan)

    async def preview(self) -> Reloaded:
        """Tell what a reload would do, and do nothing of it."""
        async with self._one_at_a_time:
            try:
                return _told(await self._plan(dry_run=True))
            except ConfigError as error:
                return Reloaded(complete=False, problems=tuple(map(str, error.mistakes)))

    async def differences(self) -> Differences:
        """Compare what the server uses with what is configured. Raises `OperationError`."""
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(self._compare)
            except ConfigError as error:
                raise OperationError(
                    "conflict", f"the configuration cannot be used: {_list(error)}"
                ) from None

    def _compare(self) -> Differences:
        wanted = self._read()
        places = differences(self.running, wanted)
        compared = option_text.compare(self._known, self.running, wanted, places)
        found = tuple(
            Difference(
                option=each.name,
                in_use=each.before,
                configured=each.after,
                needs_restart=not is_taken(place, self._taken),
            )
            for place, each in zip(places, compared, strict=True)
        )
        return Differences(same=not found, differences=found)

    async def roll_back(self) -> RolledBack:
        """Let the file have the content that was good before, and reload. Raises `OperationError`.

        An earlier file that is a mistake by now, such as beside another variable, changes nothing.
        """
        if not self.running.file:
            raise OperationError("conflict", "the server has no configuration file that could be put back")
        async with self._one_at_a_time:
            kept = self._kept
            try:
                done = await asyncio.to_thread(kept.put_back, Path(self.running.file))
            except NothingKeptError as error:
                raise OperationError("not-found", str(error)) from None
            except NotWritableError as error:
                raise OperationError("conflict", str(error)) from None
            try:
                reloaded = await self._reload()
            except OperationError:
                await asyncio.to_thread(undo, done)
                raise
            await asyncio.to_thread(kept.forget_after, done.kept)
        log.info("configuration_rolled_back", file=str(done.file), refused=str(done.refused))
        told = msgspec.structs.asdict(reloaded)
        return RolledBack(file=str(done.file), refused=str(done.refused), **told)

    async def take_again(self, part: Part) -> None:
        """Let one part read anew the files that the configuration in use names."""
        async with self._one_at_a_time:
            prepared = await part.prepare(self.in_use, dry_run=False)
            await _use(prepared)
        for problem in prepared.problems:
            log.error("reload_failed", problem=problem)

    async def reload_unasked(self) -> None:
        """Reload for somebody who gets no answer but the log."""
        try:
            await self.reload()
        except OperationError:
            return  # it is logged

    @property
    def _kept(self) -> KeptConfigurations:
        return KeptConfigurations(Path(self._data_dir))

    def _keep(self, text: bytes | None) -> None:
        """Keep the content of a file that was good; that this cannot be done holds up nothing."""
        if text is None:
            return
        try:
            self._kept.keep(text)
        except OSError as error:
            log.warning("configuration_not_kept", reason=error.strerror)

    def _text(self) -> bytes | None:
        """Read the configuration file, where there is one."""
        try:
            return Path(self.running.file).read_bytes() if self.running.file else None
        except OSError:
            return None  # told by who reads the configuration

    def _merged(self, wanted: Config, options: Collection[str]) -> Config:
        return merged(self.running, wanted, lambda place: is_taken(place, options))

    async def _plan(self, *, dry_run: bool) -> _Plan:
        """Read and check everything; raises `ConfigError` and `BackendError`."""
        text = await asyncio.to_thread(self._text)
        wanted = await asyncio.to_thread(self._read)
        changed = await asyncio.to_thread(differences, self.running, wanted)
        coming = await asyncio.to_thread(self._merged, wanted, self._taken)
        runs_on = data_directory.with_directory(coming, self._data_dir)
        prepared = [(part, await part.prepare(runs_on, dry_run=dry_run)) for part in self._parts]
        of_files = tuple(text for _, each in prepared for text in each.done)
        taken = [place for place in changed if is_taken(place, self._taken)]
        told = await asyncio.to_thread(option_text.changes, self._known, self.running, wanted, taken)
        return _Plan(
            text=text,
            wanted=wanted,
            prepared=prepared,
            done=(*of_files, *_some(told)),
            problems=tuple(problem for _, each in prepared for problem in each.problems),
            needs_restart=_write([place for place in changed if not is_taken(place, self._taken)]),
        )


async def _use(prepared: Prepared) -> None:
    used = prepared.use()
    if asyncio.iscoroutine(used):
        await used


def _told(plan: _Plan) -> Reloaded:
    return Reloaded(
        complete=not plan.problems,
        done=plan.done,
        problems=plan.problems,
        needs_restart=plan.needs_restart,
    )


def _refused(code: Code, text: str) -> OperationError:
    log.error("reload_failed", problem=text)
    return OperationError(code, text)


def _refusal(error: ConfigError) -> str:
    return f"the configuration cannot be used, and everything stays as it is: {_list(error)}"


def _list(error: ConfigError) -> str:
    return "; ".join(str(mistake) for mistake in error.mistakes)


def _write(places: Iterable[Place]) -> tuple[str, ...]:
    """Name options for people; those of many domains not one by one."""
    return _some([option_text.name(place) for place in places])


def _some(told: Sequence[str]) -> tuple[str, ...]:
    rest = len(told) - _NAMED
    return (*told[:_NAMED], *([f"{rest} more"] if rest > 0 else ()))
