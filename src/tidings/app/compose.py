"""Composition: the only place where features, hosts, stores and doors are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from tidings.adapters.memory.blobs import MemoryBlobs
from tidings.adapters.memory.sessions import MemorySessions
from tidings.app.hosts import Hosts, HostSettings, ServiceKind
from tidings.app.multicast import MULTICAST
from tidings.app.pubsub import PUBSUB
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.app.searching import USER_SEARCH
from tidings.app.uploads import UPLOADS
from tidings.base.clock import TimeSource
from tidings.features.acceptance import Acceptance
from tidings.features.acknowledgement_spans import AcknowledgementSpans
from tidings.features.archive import Archive
from tidings.features.archive_preferences import ArchivePreferencesFeature
from tidings.features.blocking import Blocking
from tidings.features.carbons import Carbons
from tidings.features.client_state import ClientState
from tidings.features.client_versions import ClientVersions
from tidings.features.contact_addresses import ContactAddresses
from tidings.features.contacts import Presences, Rosters, SharedGroups, Subscriptions
from tidings.features.devices import Devices
from tidings.features.disco import ServiceDiscovery
from tidings.features.displayed_sync import DisplayedSync
from tidings.features.external_services import ExternalServices
from tidings.features.inbox import BinCleaning, Conversations, Inbox, StandardInbox
from tidings.features.last_activity import LastActivityFeature
from tidings.features.nodes import Interests, NodeCleaning, PersonalEventing
from tidings.features.ping import XmppPing
from tidings.features.private_storage import PrivateStorage
from tidings.features.registration import Registration
from tidings.features.reporting import Reporting
from tidings.features.retention import Retention
from tidings.features.rooms.departure import AccountDepartures, leave_rooms
from tidings.features.rooms.light.accounts import LightAccounts
from tidings.features.rooms.light.missed_markers import MissedMarkers
from tidings.features.session_request import SessionRequests
from tidings.features.smart_markers import SmartMarkers
from tidings.features.stream_limits import StreamLimitsAdvertisement
from tidings.features.stream_management import StreamManagement
from tidings.features.sync import Sync
from tidings.features.text_index import TextIndex
from tidings.features.time import ServerTime
from tidings.features.upload import FileCleaning, FileMentions
from tidings.features.vcard import VCardTemp
from tidings.features.version import SoftwareVersion
from tidings.gateways.administration import Administration
from tidings.kernel.account_removals import DueRemovals
from tidings.kernel.accounts import Accounts, TokenCleaning
from tidings.kernel.administrators import Administrators
from tidings.kernel.clock import Clock
from tidings.kernel.cluster import Cluster
from tidings.kernel.domain_removal import DomainRemoval
from tidings.kernel.domains import Domains, ServedDomain, Source
from tidings.kernel.feature import Feature
from tidings.kernel.followers import Followers
from tidings.kernel.former_names import FormerNames
from tidings.kernel.guests import Guests
from tidings.kernel.hosting import Hosting
from tidings.kernel.invitations import Invitations
from tidings.kernel.known_capabilities import KnownCapabilities
from tidings.kernel.lanes import Lanes
from tidings.kernel.log_levels import LogLevels
from tidings.kernel.outbound import DEFAULT_OCTETS
from tidings.kernel.outbox import Outbox
from tidings.kernel.pacing import Pacing
from tidings.kernel.public_address import PublicAddress
from tidings.kernel.reset_links import DEFAULT_HOURS
from tidings.kernel.seats import Seats
from tidings.kernel.server import Server
from tidings.kernel.session_figures import AccountCounting
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.statistics import Statistics
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.kernel.traces import REMEMBERED, Traces
from tidings.kernel.turns import Turns
from tidings.messages.handover import Handover
from tidings.messages.message_spans import MessageSpans
from tidings.messages.router import Router
from tidings.messages.service_sender import ServiceSender
from tidings.operations.all import catalogue_of
from tidings.operations.at_owner import offer_operations
from tidings.operations.audit import limit_of
from tidings.operations.catalogue import Catalogue
from tidings.operations.context import Configuration, Context, Live, ShownCertificates
from tidings.ports.accounts import AccountStore
from tidings.ports.blobs import BlobStore
from tidings.ports.blocking import BlockingStore
from tidings.ports.bus import Bus
from tidings.ports.displayed import DisplayedStore
from tidings.ports.documents import DocumentStore
from tidings.ports.domains import DomainRecord
from tidings.ports.files import FileStore
from tidings.ports.groups import GroupStore
from tidings.ports.ledger import Ledger
from tidings.ports.nodes import NodeStore
from tidings.ports.preferences import PreferencesStore
from tidings.ports.private import PrivateStore
from tidings.ports.roster import RosterStore
from tidings.ports.sessions import SessionRegistry
from tidings.ports.stores import Stores
from tidings.ports.vcard import VCardStore

__all__ = ["FEATURES", "SERVICES", "HostSettings", "ServiceKind", "build_server"]

FEATURES: tuple[type[Feature], ...] = (
    SessionRequests,
    Rosters,
    Subscriptions,
    Presences,
    SharedGroups,
    Blocking,
    Reporting,
    ServiceDiscovery,
    XmppPing,
    SoftwareVersion,
    ClientVersions,
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
    AccountDepartures,
    LightAccounts,
    MissedMarkers,
    Retention,
    Inbox,
    Conversations,
    StandardInbox,
    BinCleaning,
    DisplayedSync,
    Interests,
    PersonalEventing,
    SmartMarkers,
    Devices,
    Sync,
    Administration,
)
"""What every host can do."""


SERVICES: tuple[ServiceKind, ...] = (ROOMS, MUC_LIGHT, UPLOADS, PUBSUB, USER_SEARCH, MULTICAST)
"""The services that every domain has."""


def build_server(
    wanted: Iterable[HostSettings],
    stores: Stores,
    clock: Clock,
    *,
    features: Iterable[type[Feature]] = FEATURES,
    services: Iterable[ServiceKind] = SERVICES,
    settings_for: Callable[[DomainRecord], HostSettings] | None = None,
    sessions_per_account: int = 50,
    accounts_in_memory: int = 10_000,
    outbound_octets: int = DEFAULT_OCTETS,
    database: str = "",
    public_url: Callable[[], str] = lambda: "",
    listening_url: Callable[[str], str] = lambda _: "",
    reset_link_hours: Callable[[], int] = lambda: DEFAULT_HOURS,
    name_rest_days: Callable[[], int] = lambda: 0,
    explained_messages: int = REMEMBERED,
    logs: LogLevels | None = None,
    provides: Mapping[type, object] | None = None,
    configuration: Configuration | None = None,
    certificates: ShownCertificates | None = None,
    registry: SessionRegistry | None = None,
    bus: Bus | None = None,
    spans: MessageSpans | None = None,
    blobs: BlobStore | None = None,
) -> tuple[Server, Context]:
    """Make a server with these hosts over these stores, and the context of operations on it.

    The server is not started and has no doors yet. `settings_for` says what a domain is to be that is added
    while it runs. `database` names the stores for people, `public_url` is how the doors over HTTP are
    reached, `listening_url` how by the name of a domain where that is not said, `reset_link_hours` how long
    links hold to choose another password, `name_rest_days` for how long nobody gets the name of a removed
    account. `explained_messages` is how many messages are remembered for `explain message`; `logs` are the
    log's levels, which operations change. `outbound_octets` is what may wait for all clients together.
    `provides` are more things that features may ask for, by type. `configuration` is what can be read anew,
    `certificates` what clients are shown. `registry` and `bus` join this node to others of the server;
    without them it is the only one. `spans` tells a collector of some messages. `blobs` keeps the octets of
    files; without it they are in memory.
    """
    octets: BlobStore = MemoryBlobs() if blobs is None else blobs
    features = tuple(features) if spans is None else (*features, AcknowledgementSpans)
    telemetry = Telemetry(clock.monotonic)
    supervisor = Supervisor(telemetry)
    traces = Traces(explained_messages, clock=clock)
    logs = LogLevels(clock) if logs is None else logs
    logs.watch(traces.tell_debug_log)
    pacing = Pacing(clock)
    router = Router(stores.ledger, supervisor, telemetry, pacing, traces)
    if spans is not None:
        router.trace(spans)
    cluster = Cluster(bus, router.hosts, clock, supervisor)
    registry = registry or MemorySessions()
    sessions = SessionManager(registry, cluster, router, supervisor)
    handover = None
    if not sessions.is_alone:
        handover = Handover(sessions, cluster, router.hosts, stores.ledger, clock, supervisor, traces)
        lanes = Lanes(cluster, clock, supervisor)
        seats = Seats(registry, sessions, lanes, router, stores.ledger, clock, supervisor)
        handover.guests = Guests(registry, sessions, lanes, router.hosts, clock, supervisor)
        router.join(handover, seats, handover.guests, lanes)
    server = Server(
        clock,
        router.hosts,
        router.inbound,
        sessions,
        supervisor,
        telemetry,
        stores.ledger,
        sessions_per_account=sessions_per_account,
        outbound_octets=outbound_octets,
        accounts_in_memory=accounts_in_memory,
    )
    counting = AccountCounting(stores.accounts, server.figures, supervisor, clock.monotonic)
    telemetry.refreshing.append(counting.refresh)
    domains = Domains()
    administrators = Administrators(
        stores.accounts, domains, server.hosts, supervisor, cluster.publish_domain
    )
    names = FormerNames(stores.removals, clock, name_rest_days)
    accounts = Accounts(
        stores.accounts,
        stores.removals,
        stores.ledger,
        clock,
        names=names,
        hosts=server.hosts,
        supervisor=supervisor,
        is_anonymous=domains.is_anonymous,
        sessions=sessions,
        cluster=cluster,
        administrators=administrators,
    )
    catalogue = catalogue_of(features)
    cleaning = FileCleaning(stores.files, octets, clock, supervisor)
    provided: dict[type, object] = {
        Server: server,
        Router: router,
        Supervisor: supervisor,
        Telemetry: telemetry,
        Traces: traces,
        Cluster: cluster,
        SessionManager: sessions,
        Turns: Turns(clock, supervisor),
        Pacing: pacing,
        Clock: clock,
        TimeSource: clock,
        Accounts: accounts,
        Invitations: Invitations(stores.documents, stores.accounts, clock),
        PublicAddress: PublicAddress(public_url, listening_url),
        Domains: domains,
        AccountStore: stores.accounts,
        RosterStore: stores.roster,
        GroupStore: stores.groups,
        PrivateStore: stores.private,
        DisplayedStore: stores.displayed,
        VCardStore: stores.vcards,
        BlockingStore: stores.blocking,
        PreferencesStore: stores.preferences,
        DocumentStore: stores.documents,
        NodeStore: stores.nodes,
        KnownCapabilities: KnownCapabilities(),
        FileStore: stores.files,
        BlobStore: octets,
        FileCleaning: cleaning,
        Ledger: stores.ledger,
        Catalogue: catalogue,
        MessageSpans: spans,
        **(provides or {}),
    }
    hosts = Hosts(
        server,
        router,
        stores,
        clock,
        sessions,
        handover,
        features=features,
        services=services,
        provided=provided,
    )
    settings_for = settings_for or _plain_settings

    def serve(record: DomainRecord) -> ServedDomain:
        settings = settings_for(record)
        return hosts.serve(settings, source=Source.DATABASE, state=record.state, named_admins=record.admins)

    removal = DomainRemoval(
        stores,
        clock,
        supervisor,
        names,
        services_of=hosts.services_of,
        is_served=domains.__contains__,
        leave_rooms=None if stores.ledger is None else partial(leave_rooms, router, stores.ledger),
    )
    hosting = Hosting(server, domains, stores.domains, removal, serve, hosts.withdraw, cluster.publish_domain)

    async def reload_domain(domain: str) -> None:
        await hosting.reload(domain)
        await administrators.reload()

    cluster.reload_domain = reload_domain
    live = Live(
        hosts=server.hosts,
        router=router,
        started=server.started,
        hosting=hosting,
        sessions=sessions,
        cluster=cluster,
        logs=logs,
        statistics=Statistics(server, clock, stores.ledger.state if stores.ledger else None),
        audit_limit=limit_of(clock),
        configuration=configuration,
        certificates=certificates,
        administrators=administrators,
    )
    context = Context(
        domains=domains,
        stores=stores,
        clock=clock,
        live=live,
        database=database,
        public_url=public_url,
        reset_link_hours=reset_link_hours,
        name_rest_days=name_rest_days,
    )
    provided[Context] = context
    offer_operations(context, catalogue.get)
    for settings in wanted:
        domains.put(hosts.serve(settings))
    administrators.listen()
    server.workers += [
        administrators,
        TokenCleaning(stores.accounts, clock, supervisor),
        DueRemovals(accounts, stores.removals, names, domains, clock, supervisor),
        removal,
        cleaning,
        NodeCleaning(stores.nodes, router, sessions, clock, supervisor),
    ]
    if spans is not None:
        server.workers.append(spans)
    if router.seats is not None:
        server.workers.append(router.seats)
    if stores.ledger is not None:
        mentions = FileMentions(stores.files, stores.ledger, cleaning)
        _add_workers(server, router, stores.ledger, mentions)
    return server, context


def _add_workers(server: Server, router: Router, ledger: Ledger, mentions: FileMentions) -> None:
    """Let the server do what follows the ledger: the text search, files, and what goes to other servers."""
    clock, supervisor, telemetry = server.clock, server.supervisor, server.telemetry
    followers = Followers(ledger, clock, supervisor, telemetry)
    index = TextIndex(ledger)
    followers.follow(index.name, index.take, index.pace)
    followers.follow(mentions.name, mentions.take, mentions.pace)
    sender = ServiceSender(router)
    outbox = Outbox(
        ledger.outbox,
        sender,
        sender.give_back,
        followers.bell,
        clock,
        supervisor,
        telemetry,
        traces=router.traces,
    )
    server.workers += [followers, outbox]


def _plain_settings(record: DomainRecord) -> HostSettings:
    return HostSettings(domain=record.domain, admins=record.admins)
