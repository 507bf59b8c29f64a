"""External Service Discovery: where STUN, TURN and other services are, with credentials (XEP-0215 1.0.0)."""

import enum
from typing import ClassVar, Self

import msgspec

from tidings.base.clock import format_utc
from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_SHORT, read_unsigned
from tidings.wire.xmpp.payloads.time import read_moment


class ServiceAction(enum.StrEnum):
    """What a push says about a service (§3.2)."""

    ADD = "add"
    DELETE = "delete"
    MODIFY = "modify"


class ExternalService(msgspec.Struct, frozen=True):
    """One service; `expires` is the moment, in seconds since the epoch, when its credentials end."""

    host: str
    kind: str
    port: int | None = None
    transport: str = ""
    username: str = ""
    password: str = ""
    expires: float | None = None
    name: str = ""
    is_restricted: bool = False
    action: ServiceAction | None = None
    form: DataForm | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the service; raise `bad-request` without host or type and for a bad port or time."""
        host, kind, port, expires = map(element.get, ("host", "type", "port", "expires"))
        if not host or not kind:
            raise StanzaError("bad-request", "a service needs host and type")
        form = element.find("x", ns.DATA_FORMS)
        return cls(
            host,
            kind,
            read_unsigned(port, "port", maximum=UNSIGNED_SHORT) if port else None,
            element.get("transport") or "",
            element.get("username") or "",
            element.get("password") or "",
            read_moment(expires) if expires else None,
            element.get("name") or "",
            element.get("restricted") in ("true", "1"),
            _read_action(element.get("action")),
            None if form is None else DataForm.decode(form),
        )

    def encode(self) -> Element:
        """Return `<service/>`."""
        attributes = {
            "action": self.action.value if self.action else "",
            "expires": "" if self.expires is None else format_utc(self.expires),
            "host": self.host,
            "name": self.name,
            "password": self.password,
            "port": "" if self.port is None else str(self.port),
            "restricted": "true" if self.is_restricted else "",
            "transport": self.transport,
            "type": self.kind,
            "username": self.username,
        }
        service = Element("service", ns.EXTDISCO, {name: text for name, text in attributes.items() if text})
        if self.form is not None:
            service.append(self.form.encode())
        return service


class Services(msgspec.Struct, frozen=True):
    """Services, of one `kind` if that is given (§3.1, §3.2); none of them in a request."""

    TAG: ClassVar[tuple[str, str]] = (ns.EXTDISCO, "services")

    kind: str = ""
    services: tuple[ExternalService, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the services; raise `bad-request` for one that is not well described."""
        return cls(element.get("type") or "", tuple(map(ExternalService.decode, element.find_all("service"))))

    def encode(self) -> Element:
        """Return `<services/>`."""
        kind = {"type": self.kind} if self.kind else {}
        return Element("services", ns.EXTDISCO, kind, *(service.encode() for service in self.services))


class ServiceCredentials(msgspec.Struct, frozen=True):
    """The services for which credentials are asked or given (§3.3)."""

    TAG: ClassVar[tuple[str, str]] = (ns.EXTDISCO, "credentials")

    services: tuple[ExternalService, ...]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the services; raise `bad-request` without any or for one that is not well described."""
        services = tuple(map(ExternalService.decode, element.find_all("service")))
        if not services:
            raise StanzaError("bad-request", "credentials are asked for a service")
        return cls(services)

    def encode(self) -> Element:
        """Return `<credentials/>`."""
        return Element("credentials", ns.EXTDISCO, None, *(service.encode() for service in self.services))


def _read_action(text: str | None) -> ServiceAction | None:
    try:
        return None if text is None else ServiceAction(text)
    except ValueError as error:
        raise StanzaError("bad-request", "a service is added, deleted or modified") from error
