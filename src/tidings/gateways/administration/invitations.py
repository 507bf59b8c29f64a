"""Invitations in a client: users invite others to become their contacts, administrators make accounts.

Implements XEP-0401 0.6.0; the marks § point at its sections. What users may do, the options of registration
say. Left out: `<x/>` of account creation with more than a name and the wish to be contacts (§5.4, a MAY).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.registration import Registration, RegistrationOptions
from tidings.gateways.administration.door import refusal
from tidings.gateways.commands import Outcome
from tidings.kernel.host import Host
from tidings.kernel.invitations import Invitation, invitation_uri
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.operations.invitation import count_of, landing_url, make, read_name
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.date_time import format_date_time

_HOURS: Final = 24
_NONE: Final = RegistrationOptions(invitations=False)


class Inviting(msgspec.Struct, frozen=True):
    """Who may invite on one host, and how."""

    context: Context
    host: Host

    @property
    def options(self) -> RegistrationOptions:
        """What is configured now; nobody invites where nobody can register or has lasting contacts."""
        if self.host.feature(Registration) is None:
            return _NONE
        options: RegistrationOptions = self.host.options[Registration.name()].now
        return options

    def is_administrator(self, asker: Jid) -> bool:
        """Tell whether somebody administers the host."""
        return asker.bare in self.host.admins

    async def invite(
        self, inviter: Jid, *, name: str = "", contact: Jid | None = None, registers: bool
    ) -> tuple[Invitation, str]:
        """Make an invitation in somebody's name, as long as the options say; raises `StanzaError`."""
        domain = self.host.domain
        if self.is_administrator(inviter):
            caller = Caller.administrator(inviter.bare, domain, session=inviter)
        else:
            caller = Caller.user(inviter.bare)
        hours = self.options.users_invite_days * _HOURS
        context = self.context.acting_for(caller)
        try:
            return await make(
                context, self.host.jid, name=name, contact=contact, registers=registers, hours=hours
            )
        except OperationError as error:
            raise refusal(error) from error

    def shown(self, invitation: Invitation, token: str, *, to_contact: bool) -> Outcome:
        """Give what a client gets of an invitation (§5.1)."""
        uri = invitation_uri(self.host.jid, invitation, token, to_contact=to_contact)
        url = landing_url(self.context, self.host.jid, token)
        fields = [Field("uri", (uri,), FieldKind.TEXT_SINGLE)]
        if url:
            fields.append(Field("landing-url", (url,), FieldKind.TEXT_SINGLE))
        expires = format_date_time(int(invitation.expires) * SECOND)
        fields.append(Field("expire", (expires,), FieldKind.TEXT_SINGLE))
        return Outcome(DataForm.of(FormKind.RESULT, ns.INVITATION, *fields))


class InviteUser(msgspec.Struct, frozen=True):
    """Somebody is to become a contact of whoever runs this, with or without a new account (§5.1)."""

    inviting: Inviting
    node: str = ns.INVITE
    name: str = "Invite user"
    stages: tuple[DataForm, ...] = ()
    is_for_everybody: bool = False

    def is_for(self, asker: Jid) -> bool:
        """Tell whether somebody may invite contacts: accounts of the host, where users may."""
        if asker.domain != self.inviting.host.domain or not asker.local:
            return False
        options = self.inviting.options
        if self.inviting.is_administrator(asker):
            return options is not _NONE
        return options.users_invite != "no"

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Make the invitation at once."""
        del answers
        options, is_administrator = self.inviting.options, self.inviting.is_administrator(administrator)
        most = options.users_invite_at_most
        if not is_administrator and await count_of(self.inviting.context, administrator.bare) >= most:
            raise StanzaError("resource-constraint", f"{most} of your invitations are open; that is the most")
        registers = options.invitations and (is_administrator or options.users_invite == "accounts")
        invitation, token = await self.inviting.invite(
            administrator, contact=administrator.bare, registers=registers
        )
        return self.inviting.shown(invitation, token, to_contact=True)


class CreateAccount(msgspec.Struct, frozen=True):
    """An administrator lets somebody make an account, whose password only that one knows (§5.4)."""

    inviting: Inviting
    node: str = ns.INVITE_ACCOUNT
    name: str = "Create account"
    is_for_everybody: bool = False

    @property
    def stages(self) -> tuple[DataForm, ...]:
        """One form, in which everything may stay empty."""
        return (
            DataForm(
                FormKind.FORM,
                (
                    Field("username", (), FieldKind.TEXT_SINGLE, "Username; empty for any"),
                    Field("roster-subscription", ("0",), FieldKind.BOOLEAN, "Become contacts"),
                ),
                title=self.name,
            ),
        )

    def is_for(self, asker: Jid) -> bool:
        """Tell whether somebody may let others make accounts, which must be possible here."""
        return self.inviting.options.invitations and self.inviting.is_administrator(asker)

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Make the invitation."""
        [form] = answers
        try:
            written = form.text("username")
            name = read_name(written, self.inviting.host.jid) if written else ""
        except OperationError as error:
            raise refusal(error) from error
        contact = administrator.bare if form.boolean("roster-subscription") else None
        invitation, token = await self.inviting.invite(
            administrator, name=name, contact=contact, registers=True
        )
        return self.inviting.shown(invitation, token, to_contact=False)


def invitation_commands(context: Context, host: Host) -> Iterator[InviteUser | CreateAccount]:
    """Give the commands of a host."""
    inviting = Inviting(context, host)
    yield InviteUser(inviting)
    yield CreateAccount(inviting)
