"""CertificateOrders: orders a certificate for every domain that has none, and another when its time comes.

One order is under way at a time. What fails is tried again later, and later each time, since authorities
count failures; what was tried is kept in files, so that a server that is started again does not ask more.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from tidings.app.acme.authority import AcmeError, Issued
from tidings.app.acme.ordered import OrderedCertificates, OrderState
from tidings.app.certificates import CertificateError, validity_of
from tidings.app.options import Config
from tidings.base.network import parse_address, to_ascii
from tidings.kernel.clock import Clock
from tidings.kernel.domains import Domains
from tidings.kernel.job import Job
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

log = structlog.get_logger("tidings.certificates")

_HOUR: Final = 3_600.0
FIRST_PAUSE: Final = _HOUR / 4
"""After the first failure; it doubles with each. Let's Encrypt allows five an hour for a name."""
LONGEST_PAUSE: Final = 12 * _HOUR
_LOOK: Final = 12 * _HOUR
"""So often an authority is asked whether it wants a certificate renewed earlier, at most."""
Result = TypeVar("Result")


class Authority(Protocol):
    """Who issues certificates; all here blocks, and raises `AcmeError`."""

    def order(self, names: Sequence[str]) -> Issued:
        """Get a certificate for these names, as A-labels."""
        ...

    def renewal_time(self, chain: bytes) -> float | None:
        """Tell when this certificate should be renewed; None where the authority does not say."""
        ...


class _Work(NamedTuple):
    """What is to be done next for a domain, and when."""

    at: float
    """In seconds since the epoch."""
    domain: str
    names: tuple[str, ...]
    is_question: bool = False
    """Whether it is only to ask the authority when it wants the certificate renewed."""


class CertificateOrders:
    """Follows the domains that are served; `look` makes it begin at once."""

    def __init__(self, config: Config, authority: Callable[[Config], Authority]) -> None:
        """Begin with a configuration; nothing is ordered before the server has joined and is open."""
        self._config = config
        self._authority = authority
        self._one_at_a_time = asyncio.Lock()
        self._is_open = False
        self._issued, self._failed = 0, 0

    def join(
        self,
        domains: Domains,
        take: Callable[[], Awaitable[object]],
        clock: Clock,
        supervisor: Supervisor,
        telemetry: Telemetry,
    ) -> None:
        """Belong to a server; `take` lets its doors show what has been put into the certificate directory."""
        self._domains = domains
        self._take = take
        self._clock = clock
        self._job = Job("certificate_orders", self._step, clock, supervisor)
        domains.listen(lambda _: self.look())
        telemetry.total_by(
            "certificate_orders",
            "Certificates that were ordered, by what became of the order",
            "outcome",
            lambda: {"issued": self._issued, "failed": self._failed},
        )

    async def start(self) -> None:
        """Wait for `open`."""

    def open(self) -> None:
        """Begin, since the doors are open by which the authority comes to see us."""
        self._is_open = True
        self.look()

    def use(self, config: Config) -> None:
        """Follow another configuration from now on."""
        self._config = config
        self.look()

    def wind_down(self) -> None:
        """Order no more."""
        self._job.stop()

    async def stop(self) -> None:
        """Need nothing more."""

    def look(self) -> None:
        """Look at once what is to be ordered."""
        if self._is_open:
            self._job.begin(0)

    @property
    def ordered(self) -> OrderedCertificates:
        """Give the files of what was ordered."""
        return OrderedCertificates(self._config.certificate_directory)

    def orders_for(self, domain: str) -> bool:
        """Tell whether the certificate of a domain is ordered here."""
        is_left_to_us = self._config.acme.enabled and is_ordered(self._config, domain)
        return is_left_to_us and self.ordered.is_free(domain)

    async def renew(self, domain: str) -> OrderState:
        """Order a certificate now, whenever the next try would have been; tells what became of it."""
        return await self._order(domain)

    async def _step(self) -> float | None:
        config = self._config
        if not config.acme.enabled:
            return None
        work = await asyncio.to_thread(_next, config, self.ordered, tuple(self._domains))
        now = self._clock.now()
        if work is None or work.at > now:
            return _LOOK if work is None else min(work.at - now, _LOOK)
        if work.is_question:
            await self._ask(work.domain)
        else:
            await self._order(work.domain)
        return 0

    async def _order(self, domain: str) -> OrderState:
        async with self._one_at_a_time:
            config, ordered = self._config, self.ordered
            names = names_of(config, domain)
            log.info("certificate_ordered", domain=domain, names=names, authority=config.acme.directory)
            try:
                issued = await in_thread(self._authority(config).order, names)
                await asyncio.to_thread(ordered.keep, domain, issued.chain, issued.key)
            except (AcmeError, OSError) as error:
                state = self._failure(ordered.state(domain) or OrderState(), domain, str(error))
            else:
                state = self._success(domain, names)
            await asyncio.to_thread(ordered.note, domain, state)
        if not state.problem:
            await self._take()
        return state

    def _failure(self, before: OrderState, domain: str, problem: str) -> OrderState:
        self._failed += 1
        pause = min(FIRST_PAUSE * 2**before.failures, LONGEST_PAUSE)
        log.warning("certificate_not_issued", domain=domain, problem=problem, again_in=pause)
        return msgspec.structs.replace(
            before,
            failures=before.failures + 1,
            problem=problem,
            next_try=self._clock.now() + pause,
        )

    def _success(self, domain: str, names: tuple[str, ...]) -> OrderState:
        self._issued += 1
        log.info("certificate_issued", domain=domain, names=names)
        return OrderState(names=names, asked=self._clock.now())

    async def _ask(self, domain: str) -> None:
        """Ask the authority when it wants a certificate renewed, such as before it revokes it (RFC 9773)."""
        ordered = self.ordered
        before, pair = ordered.state(domain), ordered.pair(domain)
        if before is None or pair is None:
            return
        renew_at = before.renew_at
        try:
            chain = pair.certificate.read_bytes()
            renew_at = await in_thread(self._authority(self._config).renewal_time, chain)
        except (AcmeError, OSError) as error:
            log.debug("renewal_time_unknown", domain=domain, problem=str(error))
        state = msgspec.structs.replace(before, asked=self._clock.now(), renew_at=renew_at)
        await asyncio.to_thread(ordered.note, domain, state)


def names_of(config: Config, domain: str) -> tuple[str, ...]:
    """Give the names, as A-labels, that the certificate of a domain is to have."""
    return tuple(dict.fromkeys(map(to_ascii, (domain, *config.host(domain).certificate_names))))


def is_ordered(config: Config, domain: str) -> bool:
    """Tell whether the configuration leaves the certificate of a domain to the authority.

    No public authority knows names without a dot, nor addresses.
    """
    if config.host(domain).certificate:
        return False
    name = to_ascii(domain)
    return "." in name and parse_address(name) is None


def _next(config: Config, ordered: OrderedCertificates, domains: Iterable[str]) -> _Work | None:
    """Find what is to be done first."""
    every = (
        work
        for domain in domains
        if is_ordered(config, domain) and ordered.is_free(domain)
        for work in _works(ordered, domain, names_of(config, domain))
    )
    return min(every, default=None)


def _works(ordered: OrderedCertificates, domain: str, names: tuple[str, ...]) -> Iterator[_Work]:
    state, pair = ordered.state(domain) or OrderState(), ordered.pair(domain)
    due = 0.0
    if pair is not None and state.names == names:
        with contextlib.suppress(CertificateError):
            begins, ends = validity_of(pair)
            due = ends - (ends - begins) / 3
            if state.renew_at is not None:
                due = min(due, state.renew_at)
            yield _Work(state.asked + _LOOK, domain, names, is_question=True)
    yield _Work(max(due, state.next_try), domain, names)


async def in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Run what waits for the network beside the loop; a server that stops does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def finish(setter: Callable[[Any], None], value: object) -> None:
        if not done.cancelled():
            setter(value)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = done.set_result, function(*arguments)
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
            outcome = done.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(finish, *outcome)

    threading.Thread(target=run, name="acme", daemon=True).start()
    return await done
