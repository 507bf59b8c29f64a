"""Importing accounts: many at once, with passwords or their SCRAM keys, names and contacts, or invitations.

Each account has an outcome of its own: one that cannot be made keeps no other from being made. All that can
be made is made in one transaction. An invitation is made in place of an account, once for each name.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import os
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.contacts.book import Arrangement
from tidings.kernel.accounts import AddressHeld, make_keys
from tidings.kernel.former_names import NameRests
from tidings.kernel.invitations import Invitation, Invitations, invitation_uri
from tidings.operations import contact_book
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.invitation import landing_url
from tidings.operations.values import Domain, Time, check_address, read_address, read_time
from tidings.operations.values import Scalar as Kind
from tidings.operations.vcard import vcard_named
from tidings.ports.accounts import AccountRecord, ScramKeys
from tidings.ports.roster import Subscription
from tidings.wire.xmpp.sasl.keys import HASHES, MIN_ITERATIONS, ScramMechanism
from tidings.wire.xmpp.sasl.prepare import PreparationError, prepare_password

MOST: Final = 500
"""The most accounts of one request."""

_MOST_CONTACTS: Final = 5_000
_MOST_ITERATIONS: Final = 1_000_000
_HOUR: Final = 3_600.0

Outcome = Literal["made", "updated", "invited", "skipped", "failed"]


class ScramCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What another server keeps of a password (RFC 5802 §3); octets are in base64."""

    mechanism: Annotated[ScramMechanism, Meta(description="SCRAM-SHA-1, SCRAM-SHA-256 or SCRAM-SHA-512.")]
    iterations: Annotated[
        int, Meta(ge=MIN_ITERATIONS, le=_MOST_ITERATIONS, description="How often the hash was applied.")
    ]
    salt: Annotated[str, Meta(max_length=4096, description="Salt.")]
    stored_key: Annotated[str, Meta(max_length=128, description="StoredKey.")]
    server_key: Annotated[str, Meta(max_length=128, description="ServerKey.")]


class ImportedContact(msgspec.Struct, frozen=True, kw_only=True):
    """A contact of an account that is imported."""

    jid: Annotated[str, Meta(description="Address of the contact.")]
    name: Annotated[
        Annotated[str, Meta(max_length=1023)] | None, Meta(description="Name that the account gave it.")
    ] = None
    groups: Annotated[
        Annotated[tuple[Annotated[str, Meta(max_length=1023)], ...], Meta(max_length=50)] | None,
        Meta(description="Groups it is in."),
    ] = None
    subscription: Annotated[
        Literal["none", "to", "from", "both"] | None, Meta(description="Who sees whose presence.")
    ] = None


class ImportedAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to import; without a password and keys nobody can log in to it until it gets a password.

    With an invitation it is not made: whoever gets the link makes it. Of what is told here that keeps the
    name of the account alone.
    """

    user: Annotated[str, Meta(description="Address of the account, or its name in `domain`.")]
    password: Annotated[str | None, Meta(description="Password; kept as SCRAM keys only.")] = None
    scram: Annotated[
        tuple[ScramCredentials, ...],
        Meta(max_length=len(HASHES), description="SCRAM keys, in place of a password."),
    ] = ()
    created: Annotated[Time | None, Meta(description="When it was made; without it, now.")] = None
    name: Annotated[
        Annotated[str, Meta(max_length=1023)] | None, Meta(description="Name of its owner, for the vCard.")
    ] = None
    contacts: Annotated[
        tuple[ImportedContact, ...], Meta(max_length=_MOST_CONTACTS, description="Its contacts.")
    ] = ()
    invitation: Annotated[
        bool, Meta(description="Make an invitation for its name, in place of the account.")
    ] = False


class ImportAccounts(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts to import, and what becomes of those that exist."""

    accounts: Annotated[
        tuple[ImportedAccount, ...],
        Meta(max_length=MOST, description="The accounts: a file of CSV with a header, or of JSON lines."),
    ]
    domain: Annotated[Domain | None, Meta(description="Domain of names that are no addresses.")] = None
    update: Annotated[
        bool, Meta(description="Change accounts that exist, instead of leaving them as they are.")
    ] = False
    invite: Annotated[
        bool, Meta(description="Make invitations in place of accounts that have neither password nor keys.")
    ] = False
    hours: Annotated[int, Meta(ge=1, le=8_784, description="Hours for which invitations hold.")] = 168
    reuse_names: Annotated[
        bool, Meta(description="Also names that rest, since the accounts that had them were removed.")
    ] = False
    dry_run: Annotated[bool, Meta(description="Change nothing, and tell what would be done.")] = False


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one account: made, updated, invited, skipped since it exists, or failed for this reason.

    One for whose name an invitation is open is skipped, too, and the reason names that. `invitation` is the
    one that was made, and `link` its page, where `public_url` in [http] says how this server is reached, or
    else what opens it in a client; its token is nowhere kept, and cannot be shown again.
    """

    user: str
    outcome: Outcome
    reason: str = ""
    invitation: str = ""
    link: str = ""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every account, in the order of the request."""

    results: tuple[ImportResult, ...]


class _Wanted(NamedTuple):
    """An account as it is to be."""

    record: AccountRecord
    password: str | None
    name: str | None
    contacts: tuple[Arrangement, ...]
    is_invited: bool
    """Whether an invitation is made in its place."""


@operation(
    "account",
    "import",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    changes=True,
)
async def import_accounts(context: Context, request: ImportAccounts) -> ImportReport:
    """Make many accounts, with passwords or SCRAM keys of another server, names and contacts.

    Each line of a file is an account. A CSV file has a header with these columns, all but the first optional:
    user, password, mechanism, iterations, salt, stored_key, server_key, created, name, contacts (addresses
    with spaces between), invitation (yes or no). JSON lines have the fields of the request. Accounts that
    exist are left as they are, so that it can be repeated; with `update` they get what the file has of
    password, keys, name and contacts, and a new password ends their sessions. Where a line says `invitation`,
    or with `invite` has neither password nor keys, no account is made but an invitation, whose link is in the
    report: no second one for the same name while the first is open. A line that is wrong is told, and keeps
    no other from being done.
    """
    results: list[ImportResult | None] = []
    wanted: dict[Jid, tuple[int, _Wanted]] = {}
    for number, account in enumerate(request.accounts):
        try:
            read = _read(context, request, account)
            if read.record.jid in wanted:
                raise OperationError("conflict", f"{read.record.jid} is named twice")
        except (OperationError, StanzaError) as error:
            results.append(_failed(account.user, error))
        else:
            wanted[read.record.jid] = (number, read)
            results.append(None)
    for number, result in await _carry_out(context, request, wanted):
        results[number] = result
    return ImportReport(results=tuple(result for result in results if result is not None))


async def _carry_out(
    context: Context, request: ImportAccounts, wanted: dict[Jid, tuple[int, _Wanted]]
) -> list[tuple[int, ImportResult]]:
    """Make what does not exist, and update the rest if that is asked for."""
    existing = await context.stores.accounts.existing(wanted)
    results: list[tuple[int, ImportResult]] = []
    for jid in existing:
        number, each = wanted[jid]
        is_updated = request.update and not each.is_invited
        if is_updated and not request.dry_run:
            await _update(context, each)
        results.append((number, _result(jid, "updated" if is_updated else "skipped")))
    missing = {jid: each for jid, (_, each) in wanted.items() if jid not in existing}
    new = {jid: each for jid, each in missing.items() if not each.is_invited}
    invited = await _invite(context, request, [jid for jid in missing if jid not in new])
    results += [(wanted[jid][0], result) for jid, result in invited.items()]
    refused: Mapping[Jid, StanzaError] = {}
    if not request.dry_run:
        refused = await _make(context, new, reuses_names=request.reuse_names)
    elif not request.reuse_names:
        refused = await context.names.resting(new)
    for jid in new:
        number, error = wanted[jid][0], refused.get(jid)
        results.append((number, _result(jid, "made") if error is None else _failed(jid.text, error)))
    return results


async def _invite(context: Context, request: ImportAccounts, names: list[Jid]) -> dict[Jid, ImportResult]:
    """Make an invitation for each name that has none."""
    results: dict[Jid, ImportResult] = {}
    for domain in {Jid(jid.domain) for jid in names}:
        of_domain = {jid.local: jid for jid in names if jid.domain == domain.domain}
        found = await _invite_to(context, request, domain, list(of_domain))
        results |= {of_domain[name]: result for name, result in found.items()}
    return results


async def _invite_to(
    context: Context, request: ImportAccounts, domain: Jid, names: list[str]
) -> dict[str, ImportResult]:
    """Make invitations to one domain; what fails keeps nobody from getting the links of the others."""
    invitations = Invitations(context.stores.documents, context.stores.accounts, context.clock)
    results: dict[str, ImportResult] = {}
    for name, each in (await invitations.holders(domain, names)).items():
        reason = f"the invitation {each.id} for it is open, and its link is known to whoever has it"
        user = Jid.of(name, domain.domain).text
        results[name] = ImportResult(user=user, outcome="skipped", reason=reason)
    # An invitation would end where the name rests: it is the account that can be made all the same.
    resting = await context.names.resting([Jid.of(name, domain.domain) for name in names])
    results |= {jid.local: _failed(jid.text, error) for jid, error in resting.items()}
    missing = [name for name in names if name not in results]
    if request.dry_run:
        return results | {name: _result(Jid.of(name, domain.domain), "invited") for name in missing}
    seconds, by = request.hours * _HOUR, context.caller.name
    try:
        made = await invitations.create_all(domain, missing, seconds=seconds, by=by)
    except StanzaError:  # one of them had an invitation before, or gets one at this moment
        for name in missing:
            try:
                one = await invitations.create(domain, seconds=seconds, name=name, by=by)
                results[name] = _invited(context, domain, *one)
            except StanzaError as error:
                results[name] = _failed(Jid.of(name, domain.domain).text, error)
        return results
    return results | {name: _invited(context, domain, *one) for name, one in made.items()}


def _invited(context: Context, domain: Jid, invitation: Invitation, token: str) -> ImportResult:
    link = landing_url(context, domain, token)
    return ImportResult(
        user=Jid.of(invitation.name, domain.domain).text,
        outcome="invited",
        invitation=invitation.id,
        link=link or invitation_uri(domain, invitation, token, to_contact=False),
    )


async def _make(context: Context, new: dict[Jid, _Wanted], *, reuses_names: bool) -> dict[Jid, StanzaError]:
    """Make accounts with what they begin with; give those that cannot be made, and why."""
    stores = context.stores

    async def fill(made: frozenset[Jid]) -> None:
        chosen = [new[jid] for jid in made]
        await stores.vcards.put_all({e.record.jid: vcard_named(None, e.name) for e in chosen if e.name})
        rosters = {e.record.jid: [each.applied_to(None) for each in e.contacts] for e in chosen}
        await stores.roster.put_all({jid: entries for jid, entries in rosters.items() if entries})

    bound = asyncio.Semaphore(os.cpu_count() or 1)
    records = await asyncio.gather(*(_with_keys(each, bound) for each in new.values()))
    return await context.accounts.create_all(records, fill, reuses_names=reuses_names)


async def _with_keys(each: _Wanted, bound: asyncio.Semaphore) -> AccountRecord:
    """Give the record with the keys of the password; so many at once as there are processors."""
    if each.password is None:
        return each.record
    async with bound:
        return replace(each.record, keys=await make_keys(each.password))


async def _update(context: Context, each: _Wanted) -> None:
    """Give an account that exists what is told of it, and leave the rest."""
    jid, stores = each.record.jid, context.stores
    if each.name:
        await stores.vcards.put(jid, vcard_named(await stores.vcards.get(jid), each.name))
    for contact in each.contacts:
        await contact_book.arrange(context, (jid, contact))
    if each.password is not None or each.record.keys:
        record = await _with_keys(each, asyncio.Semaphore(1))
        await context.accounts.set_keys(jid, record.keys)


def _read(context: Context, request: ImportAccounts, account: ImportedAccount) -> _Wanted:
    """Read an account; raises `OperationError`, and StanzaError `not-acceptable`, with what is wrong."""
    text = account.user
    if "@" not in text and request.domain is not None:
        text = f"{text}@{request.domain}"
    jid = read_address(text)
    check_address(jid, Kind.ACCOUNT, next(iter(context.domains), "example.org"))
    context.require(jid)
    context.accounts.check_address(jid)
    if account.scram and account.password is not None:
        raise OperationError("invalid", "it has a password and keys; one of them is enough")
    if account.password is not None:
        _check_password(account.password)
    is_invited = account.invitation or (request.invite and account.password is None and not account.scram)
    if is_invited and (account.password is not None or account.scram):
        raise OperationError("invalid", "it has a password or keys, and so needs no invitation")
    if is_invited and account.contacts:
        raise OperationError("invalid", "an invitation keeps no contacts")
    created = read_time(account.created, "created")
    record = AccountRecord(
        jid=jid,
        keys=tuple(map(_keys, account.scram)),
        created=context.clock.now() if created is None else created,
    )
    contacts = tuple(map(_contact, account.contacts))
    return _Wanted(record, account.password, account.name, contacts, is_invited)


def _check_password(password: str) -> None:
    try:
        prepare_password(password)
    except PreparationError as error:
        raise OperationError("invalid", str(error)) from None


def _keys(given: ScramCredentials) -> ScramKeys:
    keys = ScramKeys(
        mechanism=given.mechanism,
        salt=_octets("salt", given.salt),
        iterations=given.iterations,
        stored_key=_octets("stored_key", given.stored_key),
        server_key=_octets("server_key", given.server_key),
    )
    size = hashlib.new(HASHES[given.mechanism]).digest_size
    for name, key in (("stored_key", keys.stored_key), ("server_key", keys.server_key)):
        if len(key) != size:
            told = f"`{name}` of {given.mechanism} has {size} octets, not {len(key)}"
            raise OperationError("invalid", told)
    return keys


def _octets(name: str, text: str) -> bytes:
    try:
        octets = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise OperationError("invalid", f"`{name}` is no base64") from None
    if not octets:
        raise OperationError("invalid", f"`{name}` is empty")
    return octets


def _contact(given: ImportedContact) -> Arrangement:
    return Arrangement(
        contact=read_address(given.jid).bare,
        name=given.name,
        groups=None if given.groups is None else frozenset(given.groups),
        subscription=None if given.subscription is None else Subscription(given.subscription),
    )


def _result(jid: Jid, outcome: Outcome) -> ImportResult:
    return ImportResult(user=jid.text, outcome=outcome)


def _failed(user: str, error: StanzaError | OperationError) -> ImportResult:
    reason = str(error)
    if isinstance(error, NameRests):
        reason = f"{error.told}; `reuse_names` takes it anyway"
    if isinstance(error, AddressHeld):
        reason = f"messages of an earlier owner of {user} are under legal hold; release them first"
    return ImportResult(user=user, outcome="failed", reason=reason)


OPERATIONS = (import_accounts,)
