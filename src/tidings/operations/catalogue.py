"""The catalogue: every verb of the system, declared once, from which all doors are made.

An operation is an async function of a context and a typed request with a typed response:

    @operation("account", "register", permission=Permission.ADMIN, errors=("invalid", "conflict"))
    async def register(context: Context, request: Register) -> Registered:
        \"\"\"Make an account.\"\"\"

The first line of its docstring is its promise in every door's documentation.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

import msgspec

from tidings.base.errors import BackendError, StanzaError
from tidings.operations.context import Context
from tidings.operations.errors import Code, OperationError

Request = TypeVar("Request", bound=msgspec.Struct)
Response = TypeVar("Response", bound=msgspec.Struct)
Run = Callable[[Context, Request], Awaitable[Response]]


class Permission(enum.Enum):
    """Who may call an operation."""

    ADMIN = "admin"
    """An administrator of the domain that the request is about."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of the system."""

    category: str
    name: str
    permission: Permission
    promise: str
    details: str
    request: type[msgspec.Struct]
    response: type[msgspec.Struct]
    errors: tuple[Code, ...]
    needs_server: bool
    """Whether it works on the running server only, not on the database alone."""
    answer: str
    """The field of the response that is a yes or no, where the operation is a question."""
    run: Callable[[Context, Any], Awaitable[Any]]


def operation(
    category: str,
    name: str,
    *,
    permission: Permission,
    errors: tuple[Code, ...],
    needs_server: bool = False,
    answer: str = "",
) -> Callable[[Run[Request, Response]], Operation]:
    """Declare an operation; the function's annotations give its request and response."""

    def declare(run: Run[Request, Response]) -> Operation:
        hints = get_type_hints(run)
        promise, _, details = inspect.cleandoc(run.__doc__ or "").partition("\n")
        every = (*errors, "not-allowed", "unavailable")  # what the catalogue itself answers
        return Operation(
            category=category,
            name=name,
            permission=permission,
            promise=promise,
            details=details.strip(),
            request=hints["request"],
            response=hints["return"],
            errors=tuple(dict.fromkeys(every)),
            needs_server=needs_server,
            answer=answer,
            run=run,
        )

    return declare


class Catalogue:
    """Finds operations by name and runs them, so that permissions and errors are the same in every door."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations: dict[tuple[str, str], Operation] = {}
        for one in operations:
            assert (one.category, one.name) not in self._operations, (
                f"two operations {one.category} {one.name}"
            )
            self._operations[one.category, one.name] = one

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._operations.values())

    def categories(self) -> dict[str, tuple[Operation, ...]]:
        """The operations by category, in the order in which they were declared."""
        names = dict.fromkeys(category for category, _ in self._operations)
        return {name: tuple(one for one in self if one.category == name) for name in names}

    def get(self, category: str, name: str) -> Operation:
        """Give an operation; raises `OperationError` `not-found`."""
        found = self._operations.get((category, name))
        if found is None:
            raise OperationError("not-found", f"there is no operation {category} {name}")
        return found

    async def call(self, context: Context, category: str, name: str, arguments: object) -> msgspec.Struct:
        """Run an operation with arguments as JSON gives them; raises `OperationError` alone."""
        found = self.get(category, name)
        try:
            request = msgspec.convert(arguments, found.request)
        except msgspec.ValidationError as error:
            reason, _, where = str(error).partition(" - at `$.")
            place = f"`{where.rstrip('`')}`" if where else "the request"
            raise OperationError("invalid", f"{place} is wrong: {reason}") from None
        return await self.run(context, found, request)

    async def run(self, context: Context, found: Operation, request: msgspec.Struct) -> msgspec.Struct:
        """Run an operation with a typed request; raises `OperationError` and nothing else foreseen."""
        if found.needs_server and context.live is None:
            raise OperationError("unavailable", "the server is not running")
        try:
            response: msgspec.Struct = await found.run(context, request)
        except BackendError as error:
            raise OperationError("unavailable", str(error)) from error
        except StanzaError as error:
            raise OperationError(_CODES.get(error.condition, "not-allowed"), str(error)) from error
        return response


_CODES: dict[str, Code] = {
    "bad-request": "invalid",
    "conflict": "conflict",
    "item-not-found": "not-found",
    "jid-malformed": "invalid",
    "not-acceptable": "invalid",
    "recipient-unavailable": "not-found",
    "resource-constraint": "unavailable",
    "service-unavailable": "unavailable",
    "internal-server-error": "unavailable",
}
