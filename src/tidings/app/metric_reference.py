"""The reference page of metrics, made from what a server with all features and doors registers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import Metric

from tidings.adapters.memory.stores import MemoryStores
from tidings.adapters.sql.ledger import open_memory_ledger
from tidings.app import config, tls_contexts
from tidings.app.acme.authority import AcmeAuthority
from tidings.app.acme.orders import CertificateOrders
from tidings.app.certificate_watch import CertificateWatch
from tidings.app.compose import HostSettings, build_server
from tidings.app.doors import open_doors
from tidings.app.known_features import known_features
from tidings.app.machine_figures import watch_machine
from tidings.app.reference_text import cell
from tidings.gateways.acme_challenges import AcmeChallenges
from tidings.gateways.mongooseim_names import ALIASES, NOT_GIVEN
from tidings.kernel.clock import SystemClock
from tidings.kernel.session_figures import MOST_DOMAINS, OTHER
from tidings.streams.login import Credentials, StoredCredentials

_SECRET: Final = bytes(32)


def page() -> Iterator[str]:
    """Give the lines of the page."""
    yield "# Metrics"
    yield ""
    yield "For Prometheus, at `/metrics` of the HTTP listeners (see `[metrics]` in the"
    yield "[configuration](configuration.md#metrics)), as its text format or as OpenMetrics, whichever is"
    yield "asked for. [How to monitor a server](../how-to/monitor.md) has a dashboard and alert rules."
    yield ""
    yield "A counter begins with 0 when its process starts. A histogram is three series: `_bucket`, `_sum`"
    yield f"and `_count`. Of domains the {MOST_DOMAINS} largest at the first scrape are named; all others"
    yield f"stand together as `{OTHER}`. The values of all labels are the server's own: nobody who connects"
    yield "can make new ones."
    yield ""
    yield "| metric | kind | what it is | label |"
    yield "|---|---|---|---|"
    for family in sorted(asyncio.run(_families()), key=lambda each: each.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"| `{name}` | {family.type} | {cell(family.documentation)} | {', '.join(_labels(family))} |"
    yield from _mongooseim()


def _mongooseim() -> Iterator[str]:
    yield ""
    yield "## MongooseIM's names"
    yield ""
    yield "With `mongooseim_names = true` in `[metrics]` these are given, too, for dashboards and alerts that"
    yield "were made for MongooseIM. They are written without a kind (`untyped`)."
    yield ""
    yield "| MongooseIM | here |"
    yield "|---|---|"
    for alias in ALIASES:
        only = ",".join(f'{label}="{value}"' for label, value in alias.only.items())
        source = f"{alias.source}{{{only}}}" if only else alias.source
        yield f"| `{alias.name}` | the sum of `{source}` |"
    yield ""
    yield "These are not given:"
    yield ""
    yield "| MongooseIM | why not |"
    yield "|---|---|"
    for names, reason in NOT_GIVEN:
        yield f"| {names} | {reason} |"


def _labels(family: Metric) -> tuple[str, ...]:
    """Give the labels of a metric, whether or not it has a value yet."""
    declared: Any = getattr(family, "_labelnames", ())
    return tuple(declared)


async def _families() -> list[Metric]:
    """Give what a scrape of a server with archives and every door shows; nobody listens."""
    known = known_features()
    ledger = await open_memory_ledger()
    with tempfile.TemporaryDirectory() as directory:
        settings = config.load(None, {}, {"server.data_dir": directory}, known)
        stores = MemoryStores(ledger)
        plans = (HostSettings(domain="example.org"),)
        server, context = build_server(plans, stores, SystemClock(), features=known.features)
        watch_machine(server.telemetry, Path(directory), ledger.state)
        credentials = StoredCredentials(stores.accounts, server.clock, _SECRET)

        def credentials_of(_domain: str) -> Credentials:
            return credentials

        certificates = tls_contexts.load(settings), tls_contexts.load(settings)
        CertificateWatch(certificates[0], server.clock, server.supervisor, server.telemetry)
        asked = (settings, server, context, credentials_of, _SECRET)
        challenges = AcmeChallenges()
        orders = CertificateOrders(
            settings, lambda _: AcmeAuthority(settings.acme, Path(directory), challenges)
        )
        orders.join(context.domains, orders.start, server.clock, server.supervisor, server.telemetry)
        doors = await open_doors(*asked, {}, *certificates, challenges)
        families = list(server.telemetry.registry.collect())
        await doors.close()
        await ledger.close()
    return families
