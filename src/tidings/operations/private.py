"""Operations on private storage: what an account's clients keep on the server for themselves (XEP-0049)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Page
from tidings.ports.accounts import NoSuchAccount

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose private storage."""

    user: User


class ElementInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One element that is kept."""

    name: str
    namespace: str
    octets: int


@operation("private", "list", roles=EVERYBODY, subjects=("user",), changes=False)
async def list_elements(context: Context, request: OneUser) -> Page[ElementInfo]:
    """List the elements that an account's clients keep, with their sizes."""
    if not await context.stores.accounts.exists(request.user):
        raise NoSuchAccount(request.user)
    found = sorted((await context.stores.private.sizes(request.user)).items())
    return Page(
        items=tuple(
            ElementInfo(name=name, namespace=namespace, octets=octets) for (namespace, name), octets in found
        )
    )


class OneElement(OneUser, frozen=True, kw_only=True):
    """Which element of it."""

    name: Annotated[str, Meta(max_length=1023, description="Name of the element, such as storage.")]
    namespace: Annotated[
        str, Meta(max_length=4096, description="Namespace of the element, such as storage:bookmarks.")
    ]


class KeptElement(msgspec.Struct, frozen=True, kw_only=True):
    """An element as it is kept."""

    user: AccountAddress
    name: str
    namespace: str
    element: str


@operation("private", "get", roles=EVERYBODY, subjects=("user",), changes=False)
async def get(context: Context, request: OneElement) -> KeptElement:
    """Give an element that an account's clients keep, as XML."""
    raw = await context.stores.private.get(request.user, request.namespace, request.name)
    if raw is None:
        raise _missing(request)
    return KeptElement(
        user=request.user, name=request.name, namespace=request.namespace, element=raw.decode()
    )


class RemovedElement(msgspec.Struct, frozen=True, kw_only=True):
    """The element that is kept no more."""

    user: AccountAddress
    name: str
    namespace: str


@operation("private", "remove", roles=EVERYBODY, subjects=("user",), changes=True, irreversible=True)
async def remove(context: Context, request: OneElement) -> RemovedElement:
    """Remove an element that an account's clients keep, such as broken settings.

    The clients are not told, and may keep it again. This cannot be undone.
    """
    if await context.stores.private.get(request.user, request.namespace, request.name) is None:
        raise _missing(request)
    await context.stores.private.remove(request.user, request.namespace, request.name)
    return RemovedElement(user=request.user, name=request.name, namespace=request.namespace)


def _missing(request: OneElement) -> OperationError:
    told = f"{request.user} keeps no <{request.name}> of {request.namespace}"
    return OperationError("not-found", told)


OPERATIONS = (list_elements, get, remove)
