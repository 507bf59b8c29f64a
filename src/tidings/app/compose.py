"""Composition: the only place where features, hosts, stores and doors are put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from tidings.base.clock import Clock as PlainClock
from tidings.base.jid import Jid
from tidings.features.acceptance import Acceptance
from tidings.features.archive import Archive
from tidings.features.archive_preferences import ArchivePreferencesFeature
from tidings.features.blocking import Blocking
from tidings.features.carbons import Carbons
from tidings.features.client_state import ClientState
from tidings.features.contact_addresses import ContactAddresses
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import Devices
from tidings.features.disco import ServiceDiscovery
from tidings.features.displayed_sync import DisplayedSync
from tidings.features.external_services import ExternalServices
from tidings.features.inbox import BinCleaning, Conversations, Inbox, StandardInbox
from tidings.features.last_activity import LastActivityFeature
from tidings.features.ping import XmppPing
from tidings.features.private_nodes import PrivateNodes
from tidings.features.private_storage import PrivateStorage
from tidings.features.registration import Registration
from tidings.features.retention import Retention
from tidings.features.session_request import SessionRequests
from tidings.features.smart_markers import SmartMarkers
from tidings.features.stream_limits import StreamLimitsAdvertisement
from tidings.features.stream_management import StreamManagement
from tidings.features.sync import Sync
from tidings.features.text_index import TextIndex
from tidings.features.time import ServerTime
from tidings.features.vcard import VCardTemp
from tidings.features.version import SoftwareVersion
from tidings.gateways.administration import Administration
from tidings.kernel.account import Account
from tidings.kernel.accounts import FIRST_CLEANING, Accounts, token_cleaning
from tidings.kernel.clock import Clock
from tidings.kernel.directory import Directory
from tidings.kernel.feature import Feature
from tidings.kernel.followers import Followers
from tidings.kernel.hooks import Hooks
from tidings.kernel.host import Host
from tidings.kernel.loader import load_features
from tidings.kernel.outbox import Outbox
from tidings.kernel.server import Server
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.messages.account_kind import AccountKind
from tidings.messages.entries import Rules
from tidings.messages.router import Router
from tidings.messages.service_sender import ServiceSender
from tidings.operations.context import Context, Live
from tidings.ports.accounts import AccountStore
from tidings.ports.blocking import BlockingStore
from tidings.ports.documents import DocumentStore
from tidings.ports.ledger import Ledger
from tidings.ports.preferences import PreferencesStore
from tidings.ports.private import PrivateStore
from tidings.ports.roster import RosterStore
from tidings.ports.stores import Stores
from tidings.ports.vcard import VCardStore

FEATURES: tuple[type[Feature], ...] = (
    SessionRequests,
    Rosters,
    Subscriptions,
    Presences,
    Blocking,
    ServiceDiscovery,
    XmppPing,
    SoftwareVersion,
    ServerTime,
    LastActivityFeature,
    VCardTemp,
    PrivateStorage,
    Registration,
    ExternalServices,
    ContactAddresses,
    ClientState,
    StreamLimitsAdvertisement,
    StreamManagement,
    Archive,
    ArchivePreferencesFeature,
    Carbons,
    Acceptance,
    Retention,
    Inbox,
    Conversations,
    StandardInbox,
    BinCleaning,
    DisplayedSync,
    PrivateNodes,
    SmartMarkers,
    Devices,
    Sync,
    Administration,
)
"""What every host can do."""


class HostPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a virtual host is to be."""

    domain: str
    admins: tuple[Jid, ...] = ()
    anonymous: bool = False
    """Its accounts last as long as their sessions and are stored nowhere."""
    archives: bool = True
    """What its accounts send and get is kept; without that, messages are delivered live or not at all."""
    options: Mapping[str, msgspec.Struct] = {}
    """The features' options by feature name."""


def build_server(
    plans: Iterable[HostPlan],
    stores: Stores,
    clock: Clock,
    *,
    features: Iterable[type[Feature]] = FEATURES,
    sessions_per_account: int = 50,
    accounts_in_memory: int = 10_000,
    database: str = "",
    provides: Mapping[type, object] | None = None,
) -> tuple[Server, Context]:
    """Make a server with these hosts over these stores, and the context of operations on it.

    The server is not started and has no doors yet. `database` names the stores for people.
    `provides` are more things that features may ask for, by type.
    """
    telemetry = Telemetry()
    supervisor = Supervisor(telemetry)
    router = Router(stores.ledger, supervisor, telemetry)
    server = Server(
        clock,
        router.hosts,
        router.inbound,
        supervisor,
        telemetry,
        stores.ledger,
        sessions_per_account=sessions_per_account,
    )
    wanted = tuple(features)
    planned = tuple(plans)
    context = Context(
        domains=tuple(plan.domain for plan in planned),
        stores=stores,
        clock=clock,
        live=Live(hosts=server.hosts, router=router, started=server.started),
        anonymous=frozenset(plan.domain for plan in planned if plan.anonymous),
        database=database,
    )
    accounts = Accounts(
        stores.accounts,
        stores.ledger,
        clock,
        hosts=server.hosts,
        supervisor=supervisor,
        is_anonymous=context.anonymous.__contains__,
    )
    server.jobs.append((token_cleaning(stores.accounts, clock, supervisor), FIRST_CLEANING))
    for plan in planned:
        exists = _nobody if plan.anonymous else stores.accounts.exists
        has_archives = plan.archives and not plan.anonymous and stores.ledger is not None
        kind = AccountKind(exists, router)
        rules = Rules(stores.ledger if has_archives else None)
        directory: Directory[Account] = Directory(kind, accounts_in_memory, rules.load)
        host = Host(plan.domain, kind, directory, Hooks(supervisor, clock), plan.admins)
        host.has_archives = has_archives
        router.serve(host, kind)
        provided: dict[type, object] = {
            Server: server,
            Router: router,
            Supervisor: server.supervisor,
            Telemetry: server.telemetry,
            Clock: clock,
            PlainClock: clock,
            Accounts: accounts,
            AccountStore: stores.accounts,
            RosterStore: stores.roster,
            PrivateStore: stores.private,
            VCardStore: stores.vcards,
            BlockingStore: stores.blocking,
            PreferencesStore: stores.preferences,
            DocumentStore: stores.documents,
            Ledger: stores.ledger,
            Rules: rules,
            Context: context,
            **(provides or {}),
        }
        served = [feature for feature in wanted if host.has_archives or not feature.serves_archives]
        load_features(host, served, provided, plan.options)
    if stores.ledger is not None:
        _add_workers(server, router, stores.ledger)
    return server, context


def _add_workers(server: Server, router: Router, ledger: Ledger) -> None:
    """Let the server do what follows the ledger: the text search, and what goes to other servers."""
    clock, supervisor, telemetry = server.clock, server.supervisor, server.telemetry
    followers = Followers(ledger, clock, supervisor, telemetry)
    index = TextIndex(ledger)
    followers.follow(index.name, index.take, index.pace)
    sender = ServiceSender(router)
    outbox = Outbox(ledger.outbox, sender, sender.give_back, followers.bell, clock, supervisor, telemetry)
    server.workers += [followers, outbox]


async def _nobody(_jid: Jid) -> bool:
    """No account of an anonymous host exists but while it has sessions."""
    return False
