"""External Services: calls find their STUN and TURN servers, with credentials that soon expire.

Implements XEP-0215 1.0.0 and, for services with a shared secret, the credentials of limited life that TURN
servers know (draft-uberti-behave-turn-rest-00). Left out of §3.2: pushes, since the list changes only at a
restart.
"""

import hashlib
import hmac
from base64 import b64encode
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.external_services import ExternalService, ServiceCredentials, Services


class ServiceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One service outside this server."""

    host: Annotated[str, Meta(description="Name or IP address.", min_length=1)]
    type: Annotated[str, Meta(description="What it is: `stun`, `turn`, `turns` …", min_length=1)]
    port: Annotated[int, Meta(description="Port; 0 is the usual one.", ge=0, le=65535)] = 0
    transport: Annotated[
        Literal["", "udp", "tcp"],
        Meta(
            description="Transport. Empty: `udp` for `stun` and `turn`, `tcp` for `stuns` and `turns`, "
            "else none."
        ),
    ] = ""
    name: Annotated[str, Meta(description="What people call it.")] = ""
    username: Annotated[str, Meta(description="Name to log in with, the same for everybody.")] = ""
    password: Annotated[
        str,
        Meta(extra={"secret": True}, description="Password to log in with, the same for everybody."),
    ] = ""
    secret: Annotated[
        str,
        Meta(
            extra={"secret": True},
            description="The secret that this server shares with a TURN server (coturn's "
            "`static-auth-secret`): everybody gets a name and password of their own, for a limited time.",
        ),
    ] = ""
    lifetime_seconds: Annotated[
        int, Meta(description="How long credentials made with `secret` are good.", ge=60)
    ] = 86_400


USUAL_TRANSPORTS: Final = {"stun": "udp", "turn": "udp", "stuns": "tcp", "turns": "tcp"}
"""The transports that are meant where none is named; clients skip services of these types without one."""


class ExternalServicesOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The services to tell of; only users of this domain are told."""

    services: Annotated[tuple[ServiceOptions, ...], Meta(description="One table for each service.")] = ()


class ExternalServices(Feature):
    """Tells the users of the domain where the services are and lends them credentials."""

    spec = Spec.xep(215, version="1.0.0", advertises=(ns.EXTDISCO,))  # §5
    Options = ExternalServicesOptions

    def __init__(self, host: Host, clock: Clock, options: Current[ExternalServicesOptions]) -> None:
        self._host = host
        self._clock = clock
        self._options = options

    @handles(Services, kind="get", at=Addressee.SERVER)  # §3.1, §3.2
    def list_services(self, request: Iq[Services]) -> Element:
        """Answer with the services, of one type if the request names it."""
        asker, kind = self._user(request), request.payload.kind
        found = (each for each in self._options.now.services if kind in ("", each.type))
        return Services(kind, tuple(self._describe(each, asker) for each in found)).encode()

    @handles(ServiceCredentials, kind="get", at=Addressee.SERVER)  # §3.3
    def lend_credentials(self, request: Iq[ServiceCredentials]) -> Element:
        """Answer with credentials for the services that the request describes."""
        asker = self._user(request)
        found = tuple(
            self._describe(each, asker)
            for each in self._options.now.services
            if any(is_meant(wanted, each) for wanted in request.payload.services)
        )
        if not found:
            raise StanzaError("item-not-found", "there is no such service")
        return ServiceCredentials(found).encode()

    def _user(self, request: Iq[Services] | Iq[ServiceCredentials]) -> Jid:
        """Return who asks, or raise `forbidden`: credentials are for the users of this domain alone."""
        if request.session is None or request.session.host is not self._host:
            raise StanzaError("forbidden", "the services are for users of this domain")
        return request.sender

    def _describe(self, options: ServiceOptions, asker: Jid) -> ExternalService:
        username, password, expires = options.username, options.password, None
        if options.secret:
            end = int(self._clock.now()) + options.lifetime_seconds
            username, password = turn_credentials(options.secret, asker.bare, end)
            expires = float(end)
        return ExternalService(
            options.host,
            options.type,
            options.port or None,
            transport_of(options),
            username,
            password,
            expires,
            options.name,
            is_restricted=bool(password),
        )


def is_meant(wanted: ExternalService, offered: ServiceOptions) -> bool:
    """Tell whether a request describes this service: host and type, and the port if it is named (§3.3)."""
    return (
        (wanted.host, wanted.kind) == (offered.host, offered.type)
        and (wanted.port is None or wanted.port == offered.port)
        and wanted.transport in ("", transport_of(offered))
    )


def transport_of(service: ServiceOptions) -> str:
    """Give the transport of a service; "" where its type has no usual one (§3.1 lets it be left out)."""
    return service.transport or USUAL_TRANSPORTS.get(service.type, "")


def turn_credentials(secret: str, account: Jid, expires: int) -> tuple[str, str]:
    """Return name and password that are good until `expires`, in seconds since the epoch.

    The name goes over the network in the clear, so it holds a pseudonym instead of the account; the pseudonym
    stays the same, so that the TURN server's quotas for one user work.
    """
    pseudonym = hmac.digest(secret.encode(), b"pseudonym " + account.encode(), "sha256").hex()[:16]
    username = f"{expires}:{pseudonym}"
    # The TURN server computes the same: the hash function is not ours to choose.
    signature = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return username, b64encode(signature).decode()
