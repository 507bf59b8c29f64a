"""In-Band Registration: people make an account from their client, change its password, and cancel it.

Implements XEP-0077 2.4; the marks § point at its sections. Making accounts is off unless an administrator
opens it, but for those whom the token of an invitation lets register (XEP-0445 0.2.0). Left out: data forms
and redirections of one's own making (§4, §5), since nothing but a name and a password is asked.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
import structlog
from msgspec import Meta

from tidings.base.attempts import HOUR, Attempts
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.base.network import is_loopback, network_of
from tidings.base.seldom_told import SeldomTold
from tidings.kernel.account import Account
from tidings.kernel.accounts import Accounts
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import ContactsAgreed
from tidings.kernel.feature import Addressee, Feature, Spec, StreamStage, handles
from tidings.kernel.host import Host
from tidings.kernel.invitations import Invitation, InvitationRefused, Invitations
from tidings.kernel.iq import Iq
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot, Slotted
from tidings.ports.accounts import NoSuchAccount
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.preauth import Preauth, invitation_feature
from tidings.wire.xmpp.payloads.register import Register, registration_feature

log = structlog.get_logger("tidings.accounts")

_MINUTE = 60.0
_TOLD_AT_ONCE = 10
_MOST_TOLD = 300


INVITATION: Slot[Invitation | None] = Slot("registration.invitation", default=None)
"""The invitation by which somebody on this stream may register."""


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
    invitations: Annotated[
        bool, Meta(description="Let people register with the token of an invitation, also while not `open`.")
    ] = True
    users_invite: Annotated[
        Literal["no", "contacts", "accounts"],
        Meta(
            description="Let users invite others in their client: to become their contacts, or also to make "
            "an account here. Administrators may do so in any case."
        ),
    ] = "no"
    users_invite_days: Annotated[
        int, Meta(ge=1, le=366, description="Days for which invitations that are made in a client hold.")
    ] = 7
    users_invite_at_most: Annotated[
        int, Meta(ge=1, description="Invitations of one user that may be open at a time.")
    ] = 20


class Registration(Feature):
    """Makes accounts before log-in, and changes and removes one's own after it."""

    spec = (
        Spec.xep(77, version="2.4", advertises=(ns.REGISTER,)),  # §10
        Spec.xep(445, version="0.2.0"),
    )
    Options = RegistrationOptions
    serves_passwords = True

    def __init__(
        self,
        host: Host,
        clock: Clock,
        accounts: Accounts,
        invitations: Invitations,
        options: Current[RegistrationOptions],
    ) -> None:
        self._host = host
        self._clock = clock
        self._accounts = accounts
        self._invitations = invitations
        self._options = options
        self._attempts = Attempts(0, HOUR)
        self._tokens_shown = Attempts(0, HOUR)
        self._told = SeldomTold(_MINUTE, clock.monotonic, at_once=_TOLD_AT_ONCE, most=_MOST_TOLD)

    # --- before log-in

    @property
    def is_open(self) -> bool:
        """Whether everybody may make an account."""
        return self._options.now.open

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Offer registration to those who have not logged in (§8; XEP-0445 §3)."""
        if stage is not StreamStage.BEFORE_LOGIN:
            return ()
        if self._options.now.invitations:
            return (invitation_feature(), registration_feature())
        return (registration_feature(),) if self.is_open else ()

    async def register_before_login(
        self, iq: Element, address: str, *, secure: bool, stream: Slotted
    ) -> Element:
        """Answer an iq of somebody without an account, who is at this network address (§3.1).

        `secure`: nobody on the way can read along. `stream` remembers the invitation that he has shown.
        Raises `StanzaError`, and `BackendError` where the store is down.
        """
        element, options = iq.find(Register.TAG[1], Register.TAG[0]), self._options.now
        preauth = iq.find(Preauth.TAG[1], Preauth.TAG[0])
        if preauth is not None and options.invitations:
            stream[INVITATION] = await self._find_invitation(Preauth.decode(preauth).token, address)
            return self._result(iq)
        if element is None or not (self.is_open or options.invitations):
            raise StanzaError("service-unavailable")
        query, invitation = Register.decode(element), stream[INVITATION]
        if invitation is None and not self.is_open:
            raise StanzaError("not-allowed", "one needs an invitation to register here")
        if iq.get("type") == "get":
            name = "" if invitation is None else invitation.name
            return self._result(
                iq, Register({"username": name, "password": ""}, options.instructions).encode()
            )
        if not secure and not is_loopback(address):
            raise StanzaError("not-authorized", "a password needs an encrypted connection")
        await self._make(query, address, invitation)
        del stream[INVITATION]
        return self._result(iq)

    async def _find_invitation(self, token: str, address: str) -> Invitation:
        """Give the invitation that lets somebody register (XEP-0445 §4), or raise `StanzaError`."""
        self._tokens_shown.limit = self._options.now.attempts_per_hour
        if not self._tokens_shown.allow(network_of(address), self._clock.monotonic()):
            raise StanzaError("resource-constraint", "too many tokens from your network; try later")
        try:
            invitation = await self._invitations.find(self._host.jid, token)
            if not invitation.registers:
                raise InvitationRefused("it does not let people register")
        except InvitationRefused as refusal:
            self._tell_refused(refusal, address)
            raise
        return invitation

    def _result(self, iq: Element, *content: Element) -> Element:
        attributes = {"type": "result", "from": self._host.domain, "id": iq.get("id") or ""}
        return Element("iq", ns.CLIENT, attributes, *content)

    async def _make(self, query: Register, address: str, invitation: Invitation | None) -> None:
        if query.is_removal:  # §3.2: there is nothing to remove yet
            raise StanzaError("unexpected-request", "log in to remove an account")
        jid, password = self._read_name(query.get("username")), query.get("password")
        options = self._options.now
        self._attempts.limit = options.attempts_per_hour
        if not self._attempts.allow(network_of(address), self._clock.monotonic()):
            raise StanzaError("resource-constraint", "too many registrations from your network; try later")
        if invitation is not None and invitation.name not in ("", jid.local):
            raise StanzaError("not-acceptable", f"the invitation is for the name {invitation.name}")
        if (invitation is None or not invitation.name) and await self._is_taken(jid):
            raise StanzaError("conflict", "that name is taken")
        if invitation is None:
            await self._accounts.create(jid, password)
            self._tell("account_registered", jid, address)
        else:
            await self._make_invited(jid, password, address, invitation)

    async def _is_taken(self, jid: Jid) -> bool:
        """Tell whether nobody can have a name, or only who is invited for it (XEP-0401 §6.2)."""
        if jid in self._host.admins or jid.local in self._options.now.reserved_names:
            return True
        return await self._invitations.holder(jid) is not None

    async def _make_invited(self, jid: Jid, password: str, address: str, invitation: Invitation) -> None:
        """Make an account by an invitation, which is used only if that works out (XEP-0445 §4)."""
        try:
            await self._invitations.take(self._host.jid, invitation)
        except InvitationRefused as refusal:
            self._tell_refused(refusal, address)
            raise
        is_made = False
        try:
            await self._accounts.create(jid, password)
            is_made = True
        finally:
            if not is_made:
                await self._invitations.give_back(self._host.jid, invitation)
        await self._invitations.settle(self._host.jid, invitation)
        self._tell("account_registered", jid, address, invitation=invitation.id)
        if invitation.contact:
            await until_done(self._host.hooks.tell(ContactsAgreed(Jid(invitation.contact), jid)))

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

    def _tell(
        self, event: str, account: Jid, address: str, session: Session | None = None, **names: str
    ) -> None:
        """Log what somebody did to the own account."""
        if session is not None:
            names["session"] = session.jid.text
        self._log(event, address, account=account.text, **names, by=account.text)

    def _tell_refused(self, refusal: InvitationRefused, address: str) -> None:
        """Log why a token lets nobody in, which whoever shows it is not told."""
        self._log("invitation_refused", address, domain=self._host.domain, reason=refusal.reason)

    def _log(self, event: str, address: str, **names: str) -> None:
        """Log what is done from a network address; ten times a minute at most for each network."""
        more = self._told.kept_quiet(network_of(address))
        if more is not None:
            passed_over = {"more": more} if more else {}
            log.info(event, **names, address=address, **passed_over)

    def _own_account(self, request: Iq[Register]) -> Account:
        """Return the account of the asker, or raise `forbidden` for somebody of another domain."""
        session = request.session
        if session is None or session.host is not self._host:
            raise StanzaError("forbidden", "this is for the accounts of this domain")
        return session.account


def _unregistered() -> StanzaError:
    return StanzaError("registration-required", "there is no such account")
