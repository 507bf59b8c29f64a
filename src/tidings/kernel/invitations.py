"""Invitations: who has a token may register, become somebody's contact, or both (XEP-0379, -0401, -0445).

They are documents of their domain, since a domain has few of them, each is found by its name alone, and
changes only where it still is what was read; so they need no table of their own, go with their domain, and
are in every backup.

A room has invitations, too, which let people join it: they are documents of the room, and wherever a method
asks for a domain, it takes the room's address.

Invariants:
- of a token only a digest is kept, beside the id by which it is found; digests are compared in constant time;
- a use is taken before what it is for is done, and given back when that fails: two who have the same token
  never both use it up;
- a name that an open invitation is for belongs to nobody else who registers (XEP-0401 §6.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final
from urllib.parse import quote

import msgspec

from tidings.base.clock import TimeSource
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.link_tokens import (
    SECRET_LENGTH,
    LinkRefused,
    digest_of,
    is_of_alphabet,
    is_secret_of,
    random_text,
    unless_changed,
)
from tidings.ports.accounts import AccountExists, AccountStore
from tidings.ports.documents import Document, DocumentStore

ID_LENGTH: Final = 10
"""Characters of a token that are its id, which is no secret."""

_INVITATIONS: Final = "tidings:invitations"
_NAMES: Final = "tidings:invited-names"
_KEPT_SECONDS: Final = 86_400.0
"""So long an invitation is kept that has run out, since who has shown it before goes on (XEP-0445 §4)."""
_LOOKED_AT: Final = 20
"""Of so many others it is looked whether they are over, whenever one is made."""
_TRIES: Final = 10
_PAGE: Final = 100


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an invitation."""

    id: str
    digest: bytes
    """SHA-256 of the secret part of the token."""
    created: float
    """In seconds since the epoch."""
    expires: float
    name: str = ""
    """The name that whoever registers has to take; empty for any."""
    contact: str = ""
    """The account that whoever is invited gets as a contact; empty for none."""
    registers: bool = True
    """Whether it lets people register."""
    uses: int = 1
    """How often it can be used."""
    used: int = 0
    by: str = ""
    """Who has made it."""


class InvitationRefused(LinkRefused):
    """The token lets nobody in: `item-not-found` (XEP-0445 §4), the same whatever is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "the invitation is not valid, or not any more")


class Invitations:
    """Makes invitations, finds them by their tokens and counts their uses."""

    def __init__(self, documents: DocumentStore, accounts: AccountStore, clock: TimeSource) -> None:
        self._documents = documents
        self._accounts = accounts
        self._clock = clock

    async def create(
        self,
        domain: Jid,
        *,
        seconds: float,
        uses: int = 1,
        name: str = "",
        contact: Jid | None = None,
        registers: bool = True,
        by: str = "",
    ) -> tuple[Invitation, str]:
        """Make an invitation; give it, and its token, which nobody can find out afterwards.

        Raises StanzaError `conflict` where the name has an account, or is another invitation's.
        """
        invitation, token = self._new(
            seconds, name=name, contact=contact, registers=registers, uses=uses, by=by
        )
        id_, value = invitation.id, msgspec.json.encode(invitation)
        version = await self._documents.put(domain, _INVITATIONS, id_, value, expected=None)
        if name:  # afterwards: a name is free where the invitation that it is kept for is not there
            try:
                await self._reserve(Jid.of(name, domain.domain), id_)
            except StanzaError:
                await self._documents.delete(domain, _INVITATIONS, id_, expected=version)
                raise
        await self._remove_old(domain, after=id_)
        return invitation, token

    async def create_all(
        self, domain: Jid, names: Collection[str], *, seconds: float, by: str = ""
    ) -> dict[str, tuple[Invitation, str]]:
        """Make an invitation for each of some hundred names, in one transaction; give them and their tokens.

        Raises StanzaError `conflict` where a name is another invitation's that is or was open, and makes none
        then. Whether the names have accounts is not looked at.
        """
        made = {name: self._new(seconds, name=name, by=by) for name in names}
        values: dict[tuple[str, str], bytes] = {}
        for name, (invitation, _) in made.items():
            values[_INVITATIONS, invitation.id] = msgspec.json.encode(invitation)
            values[_NAMES, _name_key(Jid.of(name, domain.domain))] = invitation.id.encode()
        await self._documents.make_all(domain, values)
        if made:
            await self._remove_old(domain, after=next(iter(made.values()))[0].id)
        return made

    async def find(self, domain: Jid, token: str) -> Invitation:
        """Give the invitation with this token, which can be used now; raises `InvitationRefused`."""
        found = await self._get(domain, token[:ID_LENGTH])
        is_right = is_secret_of(token[ID_LENGTH:], None if found is None else found[0].digest)
        if found is None or not is_right:
            raise InvitationRefused("there is no such token")
        invitation = found[0]
        if invitation.expires <= self._clock.now():
            raise InvitationRefused("it has run out")
        await self._check_use(invitation)
        return invitation

    async def take(self, domain: Jid, invitation: Invitation) -> None:
        """Use an invitation that was found before, once; raises `InvitationRefused`.

        Whether it has run out meanwhile is not looked at (XEP-0445 §4).
        """
        for _ in range(_TRIES):
            found = await self._get(domain, invitation.id)
            if found is None or found[0].digest != invitation.digest:
                raise InvitationRefused("it has been revoked")
            await self._check_use(found[0])
            if await self._count(domain, *found, 1):
                return
        raise StanzaError("resource-constraint", "too many use this invitation at this moment")

    async def give_back(self, domain: Jid, invitation: Invitation) -> None:
        """Undo what `take` has counted, since nothing came of it."""
        for _ in range(_TRIES):
            found = await self._get(domain, invitation.id)
            if found is None or await self._count(domain, *found, -1):
                return

    async def list(
        self, domain: Jid, *, after: str = "", limit: int = 100
    ) -> tuple[tuple[Invitation, ...], str]:
        """Give the invitations that can be used, by id, and the id behind which the rest begins, or nothing.

        A page may have fewer than there is room for.
        """
        page = await self._documents.list(domain, _INVITATIONS, after=after, limit=limit)
        found = tuple(each for each in map(_decoded, page) if self._is_open(each))
        return found, page[-1].key if len(page) == limit else ""

    async def count_of(self, contact: Jid) -> int:
        """Tell how many open invitations somebody has made."""
        count, after = 0, ""
        while True:
            page, after = await self.list(Jid(contact.domain), after=after, limit=_PAGE)
            count += sum(each.by == contact.text for each in page)
            if not after:
                return count

    async def revoke(self, domain: Jid, id_: str) -> bool:
        """Make an invitation worthless; tell whether there was one."""
        for _ in range(_TRIES):
            found = await self._get(domain, id_)
            if found is None:
                return False
            if await self._remove(domain, *found):
                return True
        raise StanzaError("resource-constraint", "too many use this invitation at this moment")

    async def holder(self, jid: Jid) -> Invitation | None:
        """Give the open invitation that an address is reserved for."""
        domain = Jid(jid.domain)
        return await self._holder(domain, await self._documents.get(domain, _NAMES, _name_key(jid)))

    async def holders(self, domain: Jid, names: Collection[str]) -> dict[str, Invitation]:
        """Give the open invitations that some hundred names are reserved for, by name."""
        keys = {_name_key(Jid.of(name, domain.domain)): name for name in names}
        reserved = await self._documents.get_all(domain, _NAMES, keys)
        ids = {document.value.decode(): keys[key] for key, document in reserved.items()}
        found = await self._documents.get_all(domain, _INVITATIONS, ids)
        invitations = {ids[id_]: _decoded(document) for id_, document in found.items()}
        return {name: each for name, each in invitations.items() if self._is_open(each)}

    async def settle(self, domain: Jid, invitation: Invitation) -> None:
        """Let go of the name, which has its account now."""
        if invitation.name:
            await self._release(Jid.of(invitation.name, domain.domain), invitation.id)

    # --- names

    async def _reserve(self, jid: Jid, id_: str) -> None:
        domain, key = Jid(jid.domain), _name_key(jid)
        if await self._accounts.exists(jid):
            raise AccountExists(jid)
        before = await self._documents.get(domain, _NAMES, key)
        if await self._holder(domain, before) is not None:
            raise StanzaError("conflict", f"another invitation is for the name {jid.local}")
        expected = None if before is None else before.version
        await self._documents.put(domain, _NAMES, key, id_.encode(), expected=expected)

    async def _holder(self, domain: Jid, reserved: Document | None) -> Invitation | None:
        """Give the open invitation that a document reserves a name for."""
        found = None if reserved is None else await self._get(domain, reserved.value.decode())
        return found[0] if found is not None and self._is_open(found[0]) else None

    async def _release(self, jid: Jid, id_: str) -> None:
        domain, key = Jid(jid.domain), _name_key(jid)
        before = await self._documents.get(domain, _NAMES, key)
        if before is not None and before.value == id_.encode():
            await unless_changed(self._documents.delete(domain, _NAMES, key, expected=before.version))

    # --- what is kept

    def _new(
        self,
        seconds: float,
        *,
        name: str,
        contact: Jid | None = None,
        registers: bool = True,
        uses: int = 1,
        by: str,
    ) -> tuple[Invitation, str]:
        """Give an invitation that is not kept yet, and its token."""
        now, id_, secret = self._clock.now(), random_text(ID_LENGTH), random_text(SECRET_LENGTH)
        invitation = Invitation(
            id=id_,
            digest=digest_of(secret),
            created=now,
            expires=now + seconds,
            name=name,
            contact="" if contact is None else contact.text,
            registers=registers,
            uses=uses,
            by=by,
        )
        return invitation, id_ + secret

    def _is_open(self, invitation: Invitation) -> bool:
        return invitation.used < invitation.uses and invitation.expires > self._clock.now()

    async def _check_use(self, invitation: Invitation) -> None:
        """Raise `InvitationRefused` for what is used up, or whose inviter is not there any more."""
        if invitation.used >= invitation.uses:
            raise InvitationRefused("it is used up")
        if not invitation.contact:
            return
        record = await self._accounts.get(Jid(invitation.contact))
        if record is None or record.created > invitation.created:  # another owner has the address since
            raise InvitationRefused("whoever invites has no account any more")
        if record.ban is not None:
            raise InvitationRefused("whoever invites is banned")
        if record.removal is not None:
            raise InvitationRefused("whoever invites is to be removed")

    async def _get(self, domain: Jid, id_: str) -> tuple[Invitation, str] | None:
        """Give an invitation and the version of its document."""
        if len(id_) != ID_LENGTH or not is_of_alphabet(id_):
            return None  # what strangers send need not fit the store
        document = await self._documents.get(domain, _INVITATIONS, id_)
        return None if document is None else (_decoded(document), document.version)

    async def _count(self, domain: Jid, invitation: Invitation, version: str, step: int) -> bool:
        """Count a use, or one less; tell whether nobody else has changed it meanwhile."""
        changed = msgspec.structs.replace(invitation, used=max(0, invitation.used + step))
        value = msgspec.json.encode(changed)
        return await unless_changed(
            self._documents.put(domain, _INVITATIONS, invitation.id, value, expected=version)
        )

    async def _remove(self, domain: Jid, invitation: Invitation, version: str) -> bool:
        if not await unless_changed(
            self._documents.delete(domain, _INVITATIONS, invitation.id, expected=version)
        ):
            return False
        await self.settle(domain, invitation)
        return True

    async def _remove_old(self, domain: Jid, after: str) -> None:
        """Remove what is over among a few; they begin at a random place, so all have their turn."""
        before = self._clock.now() - _KEPT_SECONDS
        for document in await self._documents.list(domain, _INVITATIONS, after=after, limit=_LOOKED_AT):
            invitation = _decoded(document)
            if invitation.expires <= before or invitation.used >= invitation.uses:
                await self._remove(domain, invitation, document.version)


def invitation_uri(domain: Jid, invitation: Invitation, token: str, *, to_contact: bool) -> str:
    """Give what opens the invitation in a client: a contact, or else an account (XEP-0401 §5.1, §5.4)."""
    if invitation.contact and to_contact:
        may_register = ";ibr=y" if invitation.registers else ""
        return f"xmpp:{_in_uri(Jid(invitation.contact))}?roster;preauth={token}{may_register}"
    account = Jid.of(invitation.name, domain.domain) if invitation.name else domain
    return f"xmpp:{_in_uri(account)}?register;preauth={token}"


def join_uri(room: Jid, token: str) -> str:
    """Give what opens a room in a client and lets people in: the token is its password (XEP-0147)."""
    return f"xmpp:{_in_uri(room)}?join;password={token}"


def looks_like_token(text: str) -> bool:
    """Tell whether a text may be the token of an invitation."""
    return len(text) == ID_LENGTH + SECRET_LENGTH and is_of_alphabet(text)


def landing_path(domain: Jid, token: str) -> str:
    """Give the path of the page of an invitation, below the public address of the doors over HTTP."""
    return f"/invite/{quote(domain.text, safe='@')}/{token}"


def _in_uri(jid: Jid) -> str:
    """Write an address as RFC 5122 §2.2 has it."""
    domain = quote(jid.domain, safe="[]:")
    return f"{quote(jid.local, safe='')}@{domain}" if jid.local else domain


def _decoded(document: Document) -> Invitation:
    return msgspec.json.decode(document.value, type=Invitation)


def _name_key(jid: Jid) -> str:
    """Give the key of a reserved name, which may be longer than keys are."""
    return hashlib.sha256(jid.local.encode()).hexdigest()
