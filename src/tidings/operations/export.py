"""Operations that give what is stored, as a document that other servers and people can read (XEP-0227)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.operations.account import OneDomain, OneUser
from tidings.operations.catalogue import EVERYBODY, OPERATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.portable.account import PortableAccount
from tidings.portable.exporting import Exporter
from tidings.portable.xep0227.writing import written

_PIECE: Final = 1 << 16


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The next part of a document."""

    text: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts to give."""

    domain: OneDomain = None
    keys: Annotated[
        bool, Meta(description="With what passwords are checked with, so that they go on to hold elsewhere.")
    ] = False


@operation("account", "export-personal-data", roles=EVERYBODY, subjects=("user",), changes=False)
async def export_personal_data(context: Context, request: OneUser) -> AsyncIterator[Piece]:
    """Give all that is stored for an account, as an XML document (XEP-0227).

    It has contacts, vCard, private data, nodes with their items, block list, preferences, the archive and a
    list of uploaded files; not what its password is checked with. What others have taken back is not in it.
    Archives may be large: it comes in parts.
    """
    exporter = Exporter(context.stores)
    account = await exporter.account(request.user)
    if account is None:
        raise OperationError("not-found", f"there is no account {request.user}")

    async def alone() -> AsyncIterator[PortableAccount]:
        yield msgspec.structs.replace(account, keys=())

    async for piece in _pieces(written(exporter, alone())):
        yield piece


@operation("server", "export", roles=OPERATORS, changes=False)
async def export(context: Context, request: Export) -> AsyncIterator[Piece]:
    """Give everything that is stored for accounts, as an XML document that other servers read (XEP-0227).

    What is done meanwhile may be in it or not. Where in the inbox conversations are is not part of it.
    """
    exporter = Exporter(context.stores)

    async def chosen() -> AsyncIterator[PortableAccount]:
        async for account in exporter.accounts(sorted(context.domains_for(request.domain))):
            yield account if request.keys else msgspec.structs.replace(account, keys=())

    async for piece in _pieces(written(exporter, chosen())):
        yield piece


async def _pieces(document: AsyncIterator[bytes]) -> AsyncIterator[Piece]:
    """Join short parts and leave long ones as they are."""
    waiting: list[bytes] = []
    octets = 0
    async for part in document:
        waiting.append(part)
        octets += len(part)
        if octets >= _PIECE:
            yield Piece(text=b"".join(waiting).decode())
            waiting, octets = [], 0
    yield Piece(text=b"".join(waiting).decode())


OPERATIONS = (export_personal_data, export)
"""The operations of this file."""
