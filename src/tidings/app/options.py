"""Every option of the server with its type, its default and what it means.

One struct is one section of `tidings.toml`; the reference page is made from these structs, so the text of a
description is what an administrator reads. A unit stands in the name of an option. A feature declares its own
options next to its code; they appear as `[features.NAME]` and `[host."example.org".features.NAME]`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, field

from tidings.app.acme_options import AcmeOptions, FilePath
from tidings.app.files_options import FilesOptions
from tidings.app.limits_options import Count, LimitsOptions, Positive
from tidings.app.listen_options import ListenOptions
from tidings.app.telemetry_options import TelemetryOptions
from tidings.app.whereabouts import SOCKET
from tidings.gateways.http_options import HttpOptions
from tidings.kernel.traces import REMEMBERED
from tidings.wire.xmpp.bosh.options import BoshOptions

Authentication = Literal["accounts", "any", "anonymous"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "EXTERNAL", "PLAIN"]
STRONG_MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)
"""All of them, strongest first."""

MEMORY_URL = "memory:"
"""The database URL that keeps everything in memory and forgets it when the server stops."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What this server is called, where it keeps its data and who may administer it."""

    data_dir: Annotated[
        FilePath,
        Meta(
            description="Directory for the embedded database, the self-signed certificate and the admin "
            "socket; made when missing. Empty: a temporary directory that is removed when the server stops."
        ),
    ] = "data"
    domains: Annotated[
        tuple[str, ...],
        Meta(description='Domains served, besides those that have a section `[host."…"]`.'),
    ] = ("localhost",)
    authentication: Annotated[
        Authentication,
        Meta(
            description="How clients log in unless their host says otherwise. `accounts`: with the password "
            "of an account. `anonymous`: everybody gets a throw-away account. `any`: any name and any "
            "password are right and make the account, for tests on loopback only."
        ),
    ] = "accounts"
    mechanisms: Annotated[
        tuple[Mechanism, ...],
        Meta(
            description="SASL mechanisms offered where accounts log in, strongest first. SCRAM comes with "
            "channel binding (-PLUS) on TLS, PLAIN on encrypted or local connections only, EXTERNAL where "
            "`client_authority` in [tls] is set."
        ),
    ] = STRONG_MECHANISMS
    sasl: Annotated[
        bool,
        Meta(
            description="Offer SASL as RFC 6120 has it, which every client knows. Without it, clients log in "
            "with SASL2."
        ),
    ] = True
    sasl2: Annotated[
        bool,
        Meta(
            description="Offer SASL2 (XEP-0388), and with it Bind 2 and log-in by tokens: fewer round trips, "
            "and passwords that are asked for once."
        ),
    ] = True
    admins: Annotated[
        tuple[str, ...],
        Meta(description="Addresses (`alice@example.org`) that may administer every domain."),
    ] = ()
    create_admins: Annotated[
        tuple[str, ...],
        Meta(
            extra={"secret": True},
            description="Accounts made at start when they are missing, as `name:password` (on every domain "
            "with accounts) or `name@domain:password`; they may administer their domain.",
        ),
    ] = ()
    extensions: Annotated[
        tuple[str, ...],
        Meta(
            description="Extensions to load, by name: features of Python packages that are installed beside "
            "Tidings. Their options go to `[features.NAME]`, as those of all features."
        ),
    ] = ()
    name_rest_days: Annotated[
        int,
        Meta(
            description="Days for which nobody can have the name of an account that was removed, so that "
            "what is meant for its former owner reaches no stranger. 0: it is free at once.",
            ge=0,
            le=36_500,
        ),
    ] = 0
    drain_seconds: Annotated[
        Count,
        Meta(description="How long a stopping server waits for stanzas under way."),
    ] = 5
    reset_when_empty: Annotated[
        bool,
        Meta(description="Wipe all storage when the last session ends, for tests on loopback only."),
    ] = False


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Certificates and the rule for encryption."""

    certificate: Annotated[
        FilePath,
        Meta(
            description="PEM file with the certificate and its chain. Empty: a self-signed one is made in "
            "`data_dir` on first start."
        ),
    ] = ""
    key: Annotated[FilePath, Meta(description="PEM file with the private key, without a passphrase.")] = ""
    directory: Annotated[
        FilePath,
        Meta(
            description="Directory with a certificate for each domain that has one, as "
            "`DOMAIN/fullchain.pem` and `DOMAIN/privkey.pem`; looked at at start, at a "
            "reload and when a domain is added. Empty: `certificates` in `data_dir`."
        ),
    ] = ""
    required: Annotated[
        Literal["off-loopback", "always", "never"],
        Meta(
            description="Where a client must encrypt before it logs in: everywhere but on connections from "
            "this machine, everywhere, or nowhere."
        ),
    ] = "off-loopback"
    client_authority: Annotated[
        FilePath,
        Meta(
            description="PEM file with the authorities whose client certificates log in without a password "
            "(SASL EXTERNAL), as the XMPP addresses that they name. Empty: nobody does."
        ),
    ] = ""
    minimum_version: Annotated[
        Literal["1.2", "1.3"], Meta(description="The oldest version of TLS that is accepted.")
    ] = "1.2"


class DatabaseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where accounts, rosters and all that lasts is kept."""

    url: Annotated[
        str,
        Meta(
            extra={"secret": True},
            description="Empty: SQLite in `data_dir`. Else `sqlite:///relative.db`, "
            "`sqlite:////absolute.db`, `postgresql://user:password@host/name`, "
            "`mysql://user:password@host/name` (percent-encode user and password: `@` is `%40`), or "
            "`memory:`, which forgets everything when the server stops.",
        ),
    ] = ""
    url_file: Annotated[
        FilePath,
        Meta(
            description="File with the URL as its only line, in place of `url`, so that the password stands "
            "in no configuration. As the paths of all files here it may begin with "
            "`$CREDENTIALS_DIRECTORY/`, where systemd's `LoadCredential=` puts secrets."
        ),
    ] = ""


class LedgerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whether messages are kept, and what happens when the database cannot keep up."""

    enabled: Annotated[
        bool,
        Meta(
            description="Keep what accounts send and get, and accept nothing before it is durable. "
            "Without it messages are delivered live or not at all, and archive, inbox and sync are not "
            "offered."
        ),
    ] = True
    writer: Annotated[
        Literal["process", "thread"],
        Meta(
            description="Where messages are written into the database: in a process of its own, "
            "which takes another core and about 50 MB, or in a thread of the server."
        ),
    ] = "process"
    repeat_days: Annotated[
        Positive, Meta(description="How long a message that is sent again is known to be the same.")
    ] = 90
    wait_seconds: Annotated[
        Positive,
        Meta(
            description="How long a sender waits for a database that does not answer, before it is told "
            "`resource-constraint`."
        ),
    ] = 10
    waiting_bytes: Annotated[
        int, Meta(description="How much may wait for the database, of all senders together.", ge=1_048_576)
    ] = 67_108_864


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the server tells about itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe events to log."),
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"],
        Meta(description="`text` for people, `json` for machines; `auto` is text on a terminal, else JSON."),
    ] = "auto"
    explained_messages: Annotated[
        int,
        Meta(
            description="How many messages are remembered, without their content, for `tidings explain "
            "message`; they take up to 4 kB each. Of those that are accepted within a second a tenth of "
            "that, and of those that are refused as many. 0: none.",
            ge=0,
            le=1_000_000,
        ),
    ] = REMEMBERED


class MetricsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Figures for Prometheus at `/metrics` of the HTTP listeners."""

    enabled: Annotated[bool, Meta(description="Serve `/metrics`.")] = True
    networks: Annotated[
        tuple[str, ...],
        Meta(description="Networks that may read them, and that `/ready` tells why the server is not ready."),
    ] = (
        "127.0.0.0/8",
        "::1/128",
    )
    mongooseim_names: Annotated[
        bool,
        Meta(description="Give some figures under the names that MongooseIM has for them, too."),
    ] = False


class HostOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one domain does differently from the others.

    `features` holds the options of every feature for this domain: its own, else those of `[features.NAME]`,
    else the defaults.
    """

    authentication: Annotated[
        Authentication | None, Meta(description="As in `[server]`, for this domain.")
    ] = None
    sasl: Annotated[bool | None, Meta(description="As in `[server]`, for this domain.")] = None
    sasl2: Annotated[bool | None, Meta(description="As in `[server]`, for this domain.")] = None
    admins: Annotated[
        tuple[str, ...],
        Meta(description="Names or addresses that may administer this domain."),
    ] = ()
    see_other_host: Annotated[
        str,
        Meta(
            description="Send clients of this domain to another server: `host` or `host:port` "
            "(RFC 6120 §4.9.3.19). Empty: serve them here."
        ),
    ] = ""
    certificate: Annotated[
        FilePath,
        Meta(description="PEM file with certificate and chain for this domain. Empty: that of `[tls]`."),
    ] = ""
    key: Annotated[FilePath, Meta(description="PEM file with the private key of that certificate.")] = ""
    certificate_names: Annotated[
        tuple[str, ...],
        Meta(
            description="More names for the certificate that is ordered for this domain ([acme]), such as "
            "that of its web site."
        ),
    ] = ()
    features: Mapping[str, msgspec.Struct] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()
    """The features that are left out, as `[host."…".features]` says, else `[features]`."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that has been read and found right.

    `hosts` has one entry for every domain, in canonical form, with nothing left open: `authentication`,
    `sasl` and `sasl2` are never None, `admins` are bare addresses and include those of the whole server.
    """

    server: ServerOptions = field(default_factory=ServerOptions)
    listen: ListenOptions = field(default_factory=ListenOptions)
    tls: TlsOptions = field(default_factory=TlsOptions)
    acme: AcmeOptions = field(default_factory=AcmeOptions)
    database: DatabaseOptions = field(default_factory=DatabaseOptions)
    ledger: LedgerOptions = field(default_factory=LedgerOptions)
    limits: LimitsOptions = field(default_factory=LimitsOptions)
    log: LogOptions = field(default_factory=LogOptions)
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
    telemetry: TelemetryOptions = field(default_factory=TelemetryOptions)
    http: HttpOptions = field(default_factory=HttpOptions)
    files: FilesOptions = field(default_factory=FilesOptions)
    bosh: BoshOptions = field(default_factory=BoshOptions)
    hosts: Mapping[str, HostOptions] = field(default_factory=dict)
    added: HostOptions | None = None
    """What holds for a domain that is added while the server runs; set in a configuration that was read."""
    file: str = ""
    profile: str = ""

    @property
    def domains(self) -> tuple[str, ...]:
        """Every domain that is served, in canonical form."""
        return tuple(self.hosts)

    def host(self, domain: str) -> HostOptions:
        """Give what holds for a domain, of the configuration or added while the server runs."""
        return self.hosts.get(domain) or self.added or HostOptions(authentication="accounts")

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        return Path(self.server.data_dir)

    @property
    def database_url(self) -> str:
        """The database to use, the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir / 'tidings.sqlite'}"

    @property
    def is_in_memory(self) -> bool:
        """Tell whether everything is forgotten when the server stops."""
        return self.database.url == MEMORY_URL

    @property
    def certificate_directory(self) -> Path:
        """The directory with certificates by domain, the default filled in."""
        return Path(self.tls.directory) if self.tls.directory else self.data_dir / "certificates"

    @property
    def file_directory(self) -> Path:
        """The directory with the octets of files, the default filled in."""
        return Path(self.files.directory) if self.files.directory else self.data_dir / "files"

    @property
    def secret_file(self) -> Path:
        """What log-in tokens and the salts of unknown accounts are made from."""
        return self.data_dir / "secret"

    @property
    def admin_socket(self) -> Path:
        """The Unix socket through which the command line reaches the running server."""
        return self.data_dir / SOCKET

    def first_accounts(self) -> tuple[tuple[str, str], ...]:
        """The accounts of `create_admins` as (bare address, password), one for each of their domains."""
        accounts: list[tuple[str, str]] = []
        for entry in self.server.create_admins:
            name, _, password = entry.partition(":")
            if "@" in name:
                accounts.append((name, password))
                continue
            accounts += [
                (f"{name}@{domain}", password)
                for domain, host in self.hosts.items()
                if host.authentication != "anonymous"
            ]
        return tuple(accounts)
