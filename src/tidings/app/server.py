"""The running server: stores, hosts and doors from a configuration, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from socket import socket
from typing import NamedTuple

import msgspec
import structlog

from tidings.adapters.file_lock import PATIENCE
from tidings.app import (
    certificates,
    data_directory,
    listening,
    memory,
    permissions,
    reload_parts,
    secret_file,
    storage,
    tls_contexts,
)
from tidings.app.acme.authority import AcmeAuthority
from tidings.app.acme.orders import CertificateOrders
from tidings.app.admin_socket import AdminSocket
from tidings.app.banner import print_banner
from tidings.app.certificate_reload import CertificateReload
from tidings.app.certificate_watch import CertificateWatch
from tidings.app.compose import HostSettings, build_server
from tidings.app.doors import Doors, open_doors
from tidings.app.known_features import KnownFeatures, known_features
from tidings.app.leaving import leave
from tidings.app.logs import Logs, configure_logs
from tidings.app.machine_figures import watch_machine
from tidings.app.message_traces import open_spans
from tidings.app.notify import ServiceManager
from tidings.app.options import Config
from tidings.app.progress import StartProgress
from tidings.app.reload import Reloader
from tidings.app.reload_parts import Running
from tidings.app.reset import Refill, ResetWhenEmpty
from tidings.app.shown_certificates import ServedCertificates
from tidings.app.signals import Signals
from tidings.app.tls_contexts import Certificates, some
from tidings.app.uploads import listening_url, open_blobs
from tidings.app.voice import say
from tidings.base.errors import TidingsError
from tidings.base.jid import Jid
from tidings.gateways.acme_challenges import AcmeChallenges
from tidings.gateways.tls import HTTP_PROTOCOL
from tidings.kernel.accounts import make_first_accounts
from tidings.kernel.clock import SystemClock
from tidings.kernel.feature import Feature
from tidings.kernel.log_levels import LogLevels
from tidings.kernel.server import Server
from tidings.operations.all import catalogue_of
from tidings.operations.context import Context
from tidings.ports.blobs import BlobStore
from tidings.ports.stores import Stores
from tidings.streams.login import Credentials, OpenCredentials, StoredCredentials

log = structlog.get_logger("tidings")

_GARBAGE_THRESHOLD = 20_000
_GIVE_UP_SECONDS = 1.0  # what a start that is given up has to close in order
_M_MMAP_THRESHOLD = -3  # malloc.h


def run(read: Callable[[], Config]) -> int:
    """Serve until SIGTERM or SIGINT; the exit code is 0 after that, 1 when it cannot start.

    `read` reads the configuration, now and at every reload. Raises `ConfigError`.
    """
    config = read()
    logs = configure_logs(config.log, SystemClock())
    _raise_file_limit()
    _give_back_large_blocks()
    manager = ServiceManager()
    reloader = Reloader(config, read, manager.reloading)
    try:
        with _event_loop() as runner:
            with data_directory.opened(config) as opened:
                has_ended = runner.run(serve(opened, reloader, logs, manager))
            if not has_ended:
                leave(0)
    except (TidingsError, OSError) as error:
        manager.failed(str(error))
        say(str(error))
        return 1
    finally:
        manager.close()
    return 0


def _raise_file_limit() -> None:
    """Use all the open files that the system grants: each connection is one, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:
            log.warning("open_files", limit=soft, wanted=hard, reason=str(error))
            return
    log.info("open_files", limit=hard, before=soft)


def _give_back_large_blocks() -> None:
    """Let the C library return large blocks to the system as soon as they are free.

    Each TLS connection has a read buffer of 256 kB, of which it touches a page or two. After the first one is
    freed, glibc raises its threshold and takes the next ones from the heap, where they leave holes: 200
    connections and 6,000 reconnects took 159 MB so, and 116 MB with a threshold that stays.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


class _Started(NamedTuple):
    """What a start has made, beside what the stack closes."""

    server: Server
    doors: Doors


async def serve(config: Config, reloader: Reloader, logs: Logs, manager: ServiceManager) -> bool:
    """Serve until a signal comes. Raises what keeps the server from starting, with nothing left open.

    Tells whether all has ended. Where a start is given up, a driver may still wait for its database.
    """
    signals = Signals()
    manager.watch()
    progress = StartProgress()
    progress.listeners.append(manager.waits_for)
    stack = contextlib.AsyncExitStack()
    starting = asyncio.create_task(_start(config, stack, reloader, logs, progress))
    stopping = asyncio.create_task(signals.stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        manager.stopping(0)
        return await _give_up(starting, stack)
    try:
        started = await starting
        supervisor = started.server.supervisor
        manager.ready(f"serves {some(config.domains)}")
        signals.on_reload(lambda: supervisor.start("reload", reloader.reload_unasked()))
        await stopping
        manager.stopping(reloader.running.server.drain_seconds)
        log.info("stopping")
        started.doors.refuse()
        await started.server.stop(reloader.running.server.drain_seconds)
        await started.doors.close()
    finally:
        stopping.cancel()
        await stack.aclose()
    log.info("stopped")
    return True


async def _start(
    config: Config,
    stack: contextlib.AsyncExitStack,
    reloader: Reloader,
    logs: Logs,
    progress: StartProgress,
) -> _Started:
    """Start the server; what has to be closed goes to the stack."""
    sockets = _bind(config, stack)
    held = await data_directory.lock(config.data_dir, PATIENCE, progress.waits_for)
    stack.callback(held.close)
    admin = AdminSocket(config.admin_socket)
    await admin.start()
    stack.push_async_callback(admin.close)
    progress.listeners.append(admin.waits_for)
    try:
        return await _start_serving(config, stack, reloader, logs, progress, sockets, admin)
    except (TidingsError, OSError) as error:
        admin.fail(f"the server has not started: {error}")
        raise
    except asyncio.CancelledError:
        admin.fail("the server was stopped before it had started")
        raise


async def _start_serving(
    config: Config,
    stack: contextlib.AsyncExitStack,
    reloader: Reloader,
    logs: Logs,
    progress: StartProgress,
    sockets: Mapping[str, list[socket]],
    admin: AdminSocket,
) -> _Started:
    tls = tls_contexts.load(config)
    https = tls_contexts.load(config, alpn=(HTTP_PROTOCOL,))
    tls_contexts.warn(certificates.pairs_of(config))
    challenges = AcmeChallenges()
    orders = CertificateOrders(
        config, lambda current: AcmeAuthority(current.acme, current.data_dir, challenges)
    )
    _warn_of_permissions(config)
    with progress.step(f"the database ({storage.describe(config)})"):
        stores = await storage.open_stores(config, on_wait=progress.waits_for, on_upgrade=_tell_upgrade)
        stack.push_async_callback(stores.close)
        known = _known(config)
        shown = ServedCertificates(tls, orders)
        blobs = await open_blobs(config, stack)
        urls = partial(listening_url, sockets)
        server, context = _build(config, stores, blobs, urls, known.features, reloader, logs.levels, shown)
        ledger = None if stores.ledger is None else stores.ledger.state
        watch_machine(server.telemetry, config.data_dir, ledger)
        await make_first_accounts(context.accounts, _first_accounts(config))
        watch = CertificateWatch(tls, server.clock, server.supervisor, server.telemetry)
        renewed = CertificateReload((tls, https), context.domains, watch.look)
        orders.join(
            context.domains,
            lambda: reloader.take_again(renewed),
            server.clock,
            server.supervisor,
            server.telemetry,
        )
        server.workers += [watch, orders]
        await server.start()
        assert context.live is not None
        await context.live.hosting.restore()
    doors = await _open(config, server, context, sockets, tls, https, challenges, reloader)
    running = Running(
        server=server,
        domains=context.domains,
        served=(tls, https),
        certificates=renewed,
        orders=orders,
        logs=logs,
        known=known,
        created=config.server.create_admins,
        make_accounts=lambda wanted: make_first_accounts(context.accounts, _first_accounts(wanted)),
    )
    reloader.run_on(config, [*reload_parts.make(running), *doors.settings], known)
    orders.open()
    admin.serve(catalogue_of(known.features), context, server.supervisor)
    gc.enable()
    gc.freeze()  # what is here now stays until the end: the collector need not look at it again
    gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
    has_accounts = bool(await stores.accounts.list(config.domains[0], limit=1))
    print_banner(config, {name: _ports(bound) for name, bound in sockets.items()}, has_accounts=has_accounts)
    log.info("started", domains=list(context.domains))
    return _Started(server, doors)


async def _give_up(starting: asyncio.Task[_Started], stack: contextlib.AsyncExitStack) -> bool:
    """End a start that somebody has ended by a signal; tell whether all of it has ended in time."""
    log.info("stopping")

    async def unwind() -> None:
        await asyncio.gather(starting, return_exceptions=True)
        await stack.aclose()

    starting.cancel()  # who waits for it is told by `_start`
    _, pending = await asyncio.wait((asyncio.create_task(unwind()),), timeout=_GIVE_UP_SECONDS)
    log.info("stopped", before="it had started")
    return not pending


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.Runner]:
    """Use uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415  # not on every system
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


def _bind(config: Config, stack: contextlib.AsyncExitStack) -> dict[str, list[socket]]:
    """Have all ports first: one that is taken is the most common mistake. Nobody can connect yet."""
    sockets: dict[str, list[socket]] = {}
    for name, listener in config.listen.enabled().items():
        sockets[name] = listening.bind(name, listener)
        for bound in sockets[name]:
            stack.callback(bound.close)
    return sockets


def _ports(sockets: Iterable[socket]) -> list[str]:
    return [_place(bound) for bound in sockets]


def _place(bound: socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _build(
    config: Config,
    stores: Stores,
    blobs: BlobStore,
    urls: Callable[[str], str],
    features: tuple[type[Feature], ...],
    reloader: Reloader,
    levels: LogLevels,
    shown: ServedCertificates,
) -> tuple[Server, Context]:
    refill = Refill(lambda: make_first_accounts(context.accounts, _first_accounts(config)))
    server, context = build_server(
        (_settings_of(config, domain) for domain in config.domains),
        stores,
        SystemClock(),
        features=features,
        provides={Refill: refill},
        settings_for=lambda record: _settings_of(reloader.in_use, record.domain, record.admins),
        sessions_per_account=config.limits.sessions_per_account,
        accounts_in_memory=config.limits.accounts_in_memory,
        outbound_octets=config.limits.outbound_total_bytes or memory.outbound_share(),
        database=storage.describe(config),
        public_url=lambda: reloader.in_use.http.public_url,
        listening_url=urls,
        blobs=blobs,
        reset_link_hours=lambda: reloader.in_use.http.reset_link_hours,
        name_rest_days=lambda: reloader.in_use.server.name_rest_days,
        explained_messages=config.log.explained_messages,
        logs=levels,
        configuration=reloader,
        certificates=shown,
        spans=open_spans(config.telemetry, SystemClock()),
    )
    return server, context


def _known(config: Config) -> KnownFeatures:
    """Give the features of every host: the server's own and those of extensions."""
    known = known_features(config.server.extensions)
    if not config.server.reset_when_empty:
        return known
    return msgspec.structs.replace(known, features=(*known.features, ResetWhenEmpty))


def _settings_of(config: Config, domain: str, admins: tuple[Jid, ...] = ()) -> HostSettings:
    """Say what a domain is to be; `admins` are those that were named when it was added."""
    host = config.host(domain)
    return HostSettings(
        domain=domain,
        admins=tuple(dict.fromkeys((*admins, *map(Jid, host.admins)))),
        anonymous=host.authentication == "anonymous",
        archives=config.ledger.enabled,
        options=host.features,
        disabled=frozenset(host.disabled),
    )


def _first_accounts(config: Config) -> list[tuple[Jid, str]]:
    """Give the accounts to make on the domains that are served; others may be configured since the start."""
    accounts = [(Jid(address), password) for address, password in config.first_accounts()]
    return [(jid, password) for jid, password in accounts if jid.domain in config.hosts]


async def _open(
    config: Config,
    server: Server,
    context: Context,
    sockets: Mapping[str, list[socket]],
    tls: Certificates,
    https: Certificates,
    challenges: AcmeChallenges,
    reloader: Reloader,
) -> Doors:
    secret = secret_file.read(config.secret_file)
    of_accounts = (context.stores.accounts, server.clock, secret)
    stored = StoredCredentials(*of_accounts)
    for_anybody = OpenCredentials(*of_accounts, context.accounts)

    def credentials(domain: str) -> Credentials:
        return for_anybody if reloader.running.host(domain).authentication == "any" else stored

    return await open_doors(
        config,
        server,
        context,
        credentials,
        secret,
        sockets,
        tls,
        https,
        challenges,
    )


def _warn_of_permissions(config: Config) -> None:
    for _, problem, mend in permissions.open_files(config):
        log.warning("permissions", problem=problem, mend=mend)


def _tell_upgrade(since: str, to: str) -> None:
    """Log that the schema will be changed, before it is: the way back is a backup."""
    log.warning(
        "database_upgrade",
        since=since,
        to=to,
        advice="earlier versions cannot read it afterwards; the way back is a backup made before "
        "(docs/how-to/upgrade.md)",
    )
