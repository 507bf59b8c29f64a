"""In-Band Registration: people make an account from their client, change its password, and cancel it.

Implements XEP-0077 2.4; the marks § point at its sections. Making accounts is off unless an administrator
opens it. Left out: data forms and redirections of one's own making (§4, §5), since nothing but a name and a
password is asked.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.base.network import is_loopback, network_of
from tidings.base.seldom_told import SeldomTold
from tidings.kernel.account import Account
from tidings.kernel.accounts import Accounts
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, StreamStage, handles
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.session import Session
from tidings.ports.accounts import NoSuchAccount
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.register import Register, registration_feature

HOUR = 3_600.0

log = structlog.get_logger("tidings.accounts")

_MINUTE = 60.0
_TOLD_AT_ONCE = 10
_MOST_TOLD = 300


class RegistrationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who may make an account, and what its owner may do with it."""

    open: Annotated[bool, Meta(description="Let everybody make an account, before log-in.")] = False
    instructions: Annotated[str, Meta(description="What people read above the form.")] = (
        "Choose a name and a password."
    )
    attempts_per_hour: Annotated[
        int, Meta(description="Attempts from one network address within an hour; 0 is no limit.", ge=0)
    ] = 10
    reserved_names: Annotated[
        tuple[str, ...],
        Meta(description="Names that nobody can register, besides those of the domain's administrators."),
    ] = (
        "abuse",
        "admin",
        "administrator",
        "hostmaster",
        "postmaster",
        "root",
        "security",
        "support",
        "webmaster",
    )
    change_password: Annotated[bool, Meta(description="Let users change their password.")] = True
    cancel: Annotated[bool, Meta(description="Let users remove their account.")] = True


class Registration(Feature):
    """Makes accounts before log-in, and changes and removes one's own after it."""

    spec = Spec.xep(77, version="2.4", advertises=(ns.REGISTER,))  # §10
    Options = RegistrationOptions
    serves_passwords = True

    def __init__(
        self,
        host: Host,
        clock: Clock,
        accounts: Accounts,
        options: Current[RegistrationOptions],
    ) -> None:
        self._host = host
        self._clock = clock
        self._accounts = accounts
        self._options = options
        self._attempts = Attempts(0, HOUR)
        self._told = SeldomTold(_MINUTE, clock.monotonic, at_once=_TOLD_AT_ONCE, most=_MOST_TOLD)

    # --- before log-in

    @property
    def is_open(self) -> bool:
        """Whether everybody may make an account."""
        return self._options.now.open

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Offer registration to those who have not logged in (§8)."""
        return (registration_feature(),) if self.is_open and stage is StreamStage.BEFORE_LOGIN else ()

    async def register_before_login(self, iq: Element, address: str, *, secure: bool) -> Element:
        """Answer an iq of somebody without an account, who is at this network address (§3.1).

        `secure`: nobody on the way can read along. Raises `StanzaError`, and `BackendError` where the store
        is down.
        """
        element = iq.find(Register.TAG[1], Register.TAG[0])
        if not self.is_open or element is None:
            raise StanzaError("service-unavailable")
        query = Register.decode(element)
        if iq.get("type") == "get":
            return self._result(
                iq, Register({"username": "", "password": ""}, self._options.now.instructions).encode()
            )
        if not secure and not is_loopback(address):
            raise StanzaError("not-authorized", "a password needs an encrypted connection")
        await self._make(query, address)
        return self._result(iq)

    def _result(self, iq: Element, *content: Element) -> Element:
        attributes = {"type": "result", "from": self._host.domain, "id": iq.get("id") or ""}
        return Element("iq", ns.CLIENT, attributes, *content)

    async def _make(self, query: Register, address: str) -> None:
        if query.is_removal:  # §3.2: there is nothing to remove yet
            raise StanzaError("unexpected-request", "log in to remove an account")
        jid, password = self._read_name(query.get("username")), query.get("password")
        options = self._options.now
        self._attempts.limit = options.attempts_per_hour
        if not self._attempts.allow(network_of(address), self._clock.monotonic()):
            raise StanzaError("resource-constraint", "too many registrations from your network; try later")
        if jid in self._host.admins or jid.local in options.reserved_names:
            raise StanzaError("conflict", "that name is taken")
        await self._accounts.create(jid, password)
        self._tell("account_registered", jid, address)

    def _read_name(self, name: str) -> Jid:
        """Return the account that a name would have, or raise `not-acceptable` (§3.1)."""
        try:
            if name:
                return Jid.of(name, self._host.domain)
        except JidError as error:
            raise StanzaError("not-acceptable", str(error)) from error
        raise StanzaError("not-acceptable", "choose a name")

    # --- after log-in

    @handles(Register, kind="get", at=Addressee.SELF | Addressee.SERVER)  # §3.1, example 3
    def show(self, request: Iq[Register]) -> Element:
        """Answer that the account is registered, and under which name."""
        account = self._own_account(request)
        return Register({"username": account.jid.local, "password": ""}, is_registered=True).encode()

    @handles(Register, kind="set", at=Addressee.SELF | Addressee.SERVER)  # §3.2, §3.3
    async def change(self, request: Iq[Register]) -> None:
        """Change the password, or remove the account."""
        account = self._own_account(request)
        if request.payload.is_removal:
            await self._remove(account, request.session)
        else:
            await self._change_password(request.own_session, request.payload)

    async def _remove(self, account: Account, asked_by: Session | None) -> None:
        if not self._options.now.cancel:
            raise StanzaError("not-allowed", "accounts are not removed here")
        try:
            await self._accounts.remove(account.jid, asked_by=asked_by)
        except NoSuchAccount:
            raise _unregistered() from None
        self._tell("account_removed", account.jid, "" if asked_by is None else asked_by.address, asked_by)

    async def _change_password(self, session: Session, query: Register) -> None:
        if not self._options.now.change_password:
            raise StanzaError("not-allowed", "passwords are not changed here")
        if not session.secure and not is_loopback(session.address):
            raise StanzaError("not-authorized", "a password needs an encrypted connection", kind="modify")
        account, name = session.account, query.get("username")
        if not name or not query.get("password"):  # §3.3: an empty password changes nothing
            raise StanzaError("bad-request", "name and new password are needed")
        if name != account.jid and self._read_name(name) != account.jid:
            raise StanzaError("bad-request", "that is not the name of your account")
        try:
            await self._accounts.set_password(account.jid, query.get("password"), asked_by=session)
        except NoSuchAccount:
            raise _unregistered() from None
        self._tell("password_changed", account.jid, session.address, session)

    def _tell(self, event: str, account: Jid, address: str, session: Session | None = None) -> None:
        """Log what somebody did to the own account; ten times a minute at most for each network."""
        more = self._told.kept_quiet(network_of(address))
        if more is not None:
            names = {} if session is None else {"session": session.jid.text}
            passed_over = {"more": more} if more else {}
            log.info(event, account=account.text, **names, address=address, by=account.text, **passed_over)

    def _own_account(self, request: Iq[Register]) -> Account:
        """Return the account of the asker, or raise `forbidden` for somebody of another domain."""
        session = request.session
        if session is None or session.host is not self._host:
            raise StanzaError("forbidden", "this is for the accounts of this domain")
        return session.account


def _unregistered() -> StanzaError:
    return StanzaError("registration-required", "there is no such account")


class Attempts:
    """Counts attempts by network within a span of time; the memory that this takes is bounded."""

    MOST_NETWORKS = 10_000

    def __init__(self, limit: int, span: float) -> None:
        self.limit = limit
        """How many are allowed within the span, now."""
        self._span = span
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def allow(self, network: str, now: float) -> bool:
        """Count an attempt and tell whether it is within the limit; one beyond it is not counted."""
        if not self.limit:
            return True
        times = self._times.setdefault(network, deque())
        self._times.move_to_end(network)
        while times and times[0] <= now - self._span:
            times.popleft()
        if len(times) >= self.limit:
            return False
        times.append(now)
        if len(self._times) > self.MOST_NETWORKS:
            self._times.popitem(last=False)
        return True
