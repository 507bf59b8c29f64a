"""Service Administration: the commands that every XMPP client with a console knows.

Implements XEP-0133 1.3.1, as far as there are operations for it; the marks § point at its sections. Left
out: rosters and statistics of users (§4.8, §4.10), lists of addresses (§4.11, §4.12), disabled, active and
idle users (§4.14, §4.16, §4.17, §4.19, §4.21, §4.22), messages of the day and of welcome (§4.24 to §4.28),
the list of administrators, which `account admins` tells (§4.29), restart and shutdown (§4.30, §4.31). Of
adding a user (§4.1), names and email addresses.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.gateways.administration.door import Door
from tidings.gateways.commands import Outcome
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Note, NoteKind, bad_request
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option

Do = Callable[[Door, Jid, DataForm], Awaitable[Outcome]]

MOST_ITEMS: Final = ("25", "50", "75", "100", "150", "200", "500", "1000")
"""Sizes of a list to choose from; the document's `none` would be without bounds."""

ACCOUNT: Final = Field("accountjid", (), FieldKind.JID_SINGLE, "Address of the account", is_required=True)
ACCOUNTS: Final = Field("accountjids", (), FieldKind.JID_MULTI, "Addresses of the accounts", is_required=True)
MOST: Final = Field(
    "max_items",
    ("100",),
    FieldKind.LIST_SINGLE,
    "How many to show at most",
    options=tuple(Option(number, number) for number in MOST_ITEMS),
)


def _password(name: str, label: str) -> Field:
    return Field(name, (), FieldKind.TEXT_PRIVATE, label, is_required=True)


class ServiceCommand(msgspec.Struct, frozen=True):
    """One use case of §4."""

    door: Door
    section: str
    """The part of the node behind `http://jabber.org/protocol/admin#`."""
    name: str
    fields: tuple[Field, ...]
    do: Do
    is_for_everybody: bool = False

    @property
    def node(self) -> str:
        """The node of the document."""
        return f"{ns.ADMIN}#{self.section}"

    @property
    def stages(self) -> tuple[DataForm, ...]:
        """One form, or none where there is nothing to ask."""
        if not self.fields:
            return ()
        return (DataForm.of(FormKind.FORM, ns.ADMIN, *self.fields, title=self.name),)

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Do it."""
        return await self.do(self.door, administrator, answers[0] if answers else DataForm(FormKind.SUBMIT))


class Ping:
    """Tells everybody that commands are answered."""

    node = "ping"
    name = "Ping"
    stages = ()
    is_for_everybody = True

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Answer."""
        del administrator, answers
        return _said("Pong")


def _accounts(form: DataForm) -> tuple[Jid, ...]:
    """Give the accounts that are named, though somebody named their sessions."""
    return tuple(dict.fromkeys(jid.bare for jid in form.jids("accountjids")))


def _account(form: DataForm) -> str:
    """Give the account that is named, though somebody named a session of it."""
    return str(form.jids("accountjid")[0].bare)


async def add_user(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Make an account (§4.1)."""
    password = form.text("password")
    if password != form.text("password-verify"):
        raise bad_request("bad-payload", "the two passwords are not the same")
    user = _account(form)
    await door.call(administrator, "account", "register", user=user, password=password)
    return _said("The account has been made.")


async def change_user_password(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Give an account another password (§4.7)."""
    user, password = _account(form), form.text("password")
    await door.call(administrator, "account", "change-password", user=user, password=password)
    return _said("The password has been changed.")


def each_account(category: str, name: str, done: str) -> Do:
    """Return a use case that runs one operation for each address of `accountjids` (§4.2 to §4.5).

    An account is named by its bare JID, a session by its full one (§4.2, the note). Addresses for which it
    was refused are named in notes; if it was refused for all, the first refusal is raised.
    """

    async def do(door: Door, administrator: Jid, form: DataForm) -> Outcome:
        refusals: list[tuple[Jid, StanzaError]] = []
        jids = form.jids("accountjids") if category == "session" else _accounts(form)
        for jid in jids:
            try:
                await door.call(administrator, category, name, user=str(jid))
            except StanzaError as error:
                refusals.append((jid, error))
        if refusals and len(refusals) == len(jids):
            raise refusals[0][1]
        notes = (Note(f"{jid}: {error.text or error.condition}", NoteKind.ERROR) for jid, error in refusals)
        return Outcome(notes=(Note(f"{done}: {len(jids) - len(refusals)}."), *notes))

    return do


async def count_registered(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Tell how many accounts there are (§4.13)."""
    del form
    counted = await door.call(administrator, "account", "count", domain=door.domain)
    return _shown(Field("registeredusersnum", (str(counted["count"]),), None, "Registered users"))


async def list_registered(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """List accounts (§4.18)."""
    limit = form.number("max_items", default=100)
    listed = await door.call(administrator, "account", "list", domain=door.domain, limit=limit)
    return _shown(
        Field(
            "registereduserjids",
            tuple(account["user"] for account in listed["items"]),
            FieldKind.JID_MULTI,
            "Registered users",
        ),
        *(() if not listed["next"] else (_more(limit),)),
    )


async def count_online(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Tell how many accounts have a session (§4.15)."""
    del form
    return _shown(
        Field("onlineusersnum", (str(len(await _online(door, administrator))),), None, "Online users")
    )


async def list_online(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """List accounts that have a session (§4.20)."""
    limit = form.number("max_items", default=100)
    users = sorted(await _online(door, administrator))
    return _shown(
        Field("onlineuserjids", tuple(users[:limit]), FieldKind.JID_MULTI, "Online users"),
        *(() if len(users) <= limit else (_more(limit),)),
    )


async def last_login(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Tell when accounts were last there: now, or when their last sessions ended (§4.9)."""
    users = [str(jid) for jid in _accounts(form)]
    times = [await _last_of(door, administrator, user) for user in users]
    kind = FieldKind.TEXT_SINGLE if len(times) == 1 else FieldKind.TEXT_MULTI
    return _shown(
        Field("accountjids", tuple(users), FieldKind.JID_MULTI, "Accounts"),
        Field("lastlogin", () if times == [""] else tuple(times), kind, "Last there"),
    )


async def _last_of(door: Door, administrator: Jid, user: str) -> str:
    checked = await door.call(administrator, "account", "check", user=user)
    if not checked["exists"]:
        raise StanzaError("item-not-found", f"there is no account {checked['user']}")
    sessions = (await door.call(administrator, "session", "list", user=user))["items"]
    return max((session["since"] for session in sessions), default=checked["last_activity"]) or ""


async def announce(door: Door, administrator: Jid, form: DataForm) -> Outcome:
    """Send a message to everybody who has a session (§4.23)."""
    text = form.text("announcement")
    told = await door.call(administrator, "stanza", "announce", domain=door.domain, body=text)
    return _said(f"Sent to {told['sessions']} sessions.")


COMMANDS: Final[tuple[tuple[str, str, tuple[Field, ...], Do], ...]] = (
    (
        "add-user",
        "Add a user",
        (ACCOUNT, _password("password", "Password"), _password("password-verify", "Password, again")),
        add_user,
    ),
    ("delete-user", "Delete users", (ACCOUNTS,), each_account("account", "remove", "Accounts removed")),
    ("disable-user", "Disable users", (ACCOUNTS,), each_account("account", "ban", "Accounts disabled")),
    ("reenable-user", "Re-enable users", (ACCOUNTS,), each_account("account", "unban", "Accounts enabled")),
    (
        "end-user-session",
        "End sessions of users",
        (ACCOUNTS,),
        each_account("session", "kick", "Accounts or sessions ended"),
    ),
    (
        "change-user-password",
        "Change a user's password",
        (ACCOUNT, _password("password", "New password")),
        change_user_password,
    ),
    ("get-user-lastlogin", "Tell when users were last there", (ACCOUNTS,), last_login),
    ("get-registered-users-num", "Count registered users", (), count_registered),
    ("get-online-users-num", "Count online users", (), count_online),
    ("get-registered-users-list", "List registered users", (MOST,), list_registered),
    ("get-online-users-list", "List online users", (MOST,), list_online),
    (
        "announce",
        "Send an announcement to online users",
        (Field("announcement", (), FieldKind.TEXT_MULTI, "Announcement", is_required=True),),
        announce,
    ),
)
"""The use cases of §4 that operations serve: node, name, fields and what to do."""

COVERED: Final = frozenset(
    {
        ("account", "register"),
        ("account", "remove"),
        ("account", "ban"),
        ("account", "unban"),
        ("account", "change-password"),
        ("account", "count"),
        ("session", "kick"),
        ("stanza", "announce"),
    }
)
"""Operations that need no command beside those of the document."""


def service_commands(door: Door) -> Iterator[ServiceCommand]:
    """Give the commands of the document for one domain."""
    for section, name, fields, do in COMMANDS:
        yield ServiceCommand(door, section, name, fields, do)


async def _online(door: Door, administrator: Jid) -> set[Jid]:
    listed = await door.call(administrator, "session", "list", domain=door.domain, limit=10_000)
    return {Jid(session["session"]).bare for session in listed["items"]}


def _said(text: str) -> Outcome:
    return Outcome(notes=(Note(text),))


def _shown(*fields: Field) -> Outcome:
    return Outcome(DataForm.of(FormKind.RESULT, ns.ADMIN, *fields))


def _more(limit: int) -> Field:
    return Field("", (f"These are the first {limit}; there are more.",), FieldKind.FIXED)
