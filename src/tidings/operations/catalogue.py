"""The catalogue: every verb of the system, declared once, from which all doors are made.

An operation is an async function of a context and a typed request with a typed response:

    @operation(
        "account", "register", roles=ADMINISTRATORS, subjects=("user",), changes=True, errors=("conflict",)
    )
    async def register(context: Context, request: Register) -> Registered:
        \"\"\"Make an account.\"\"\"

The first line of its docstring is its promise in every door's documentation. What is declared is enforced
here, before the function runs: the role of the caller, that the caller may act for every subject of the
request, that addresses are well-formed, and that the domains of the subjects are served.

- A **subject** is the account, session or domain that the request is about: the name of a field, or a
  function of the request where no field says it. A request may have several; all of them must be allowed.
- A request without a subject is for those who may act for every domain, unless the operation is declared with
  `without_subject="own"`: then it gives only what the caller may see.
- Who administers some domains **changes** nothing of an account that administers more.
- What concerns a **room** is done by the node where the room lives: see `at_owner.py`.
- What is declared `on_former_domains` looks itself whether a domain that is not served has anything left.
- A function that is a generator answers with a **stream** of responses.
- What **changes** something, and who may not call what, is told in the log: see `audit.py`. A field of free
  text is told only where its `Meta` has `extra={"audited": True}`.
- What is **irreversible** is asked for once more where a person types it on a terminal.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tidings.base.jid import Jid
from tidings.operations.at_owner import run_at_owner
from tidings.operations.audit import audited
from tidings.operations.context import Context, Role
from tidings.operations.errors import Code, OperationError
from tidings.operations.failures import told
from tidings.operations.values import AddressField, address_fields, check_address, to_request

Request = TypeVar("Request", bound=msgspec.Struct)
Response = TypeVar("Response", bound=msgspec.Struct)
Run = Callable[[Context, Request], Awaitable[Response] | AsyncIterator[Response]]
Subject = str | Callable[[Any], Jid | None]
"""The name of a field, or a function of the request that gives the subject, or None where it has none."""

OPERATORS: Final = frozenset({Role.OPERATOR, Role.SERVICE})
"""Who may do what concerns the server as a whole."""
ADMINISTRATORS: Final = OPERATORS | {Role.DOMAIN_ADMINISTRATOR}
"""Who may do what concerns the accounts of a domain."""
EVERYBODY: Final = ADMINISTRATORS | {Role.USER}
"""Who may do what an account's owner may do, too."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb of the system."""

    category: str
    name: str
    roles: frozenset[Role]
    """Who may call it."""
    subjects: tuple[Subject, ...]
    without_subject: Literal["operator", "own"]
    on_former_domains: bool
    """Whether it works on what is left of domains that are served no more, for who may act for all."""
    changes: bool
    """Whether it changes anything: a mutation of GraphQL, a POST of REST."""
    promise: str
    details: str
    request: type[msgspec.Struct]
    response: Any
    """The type of the answer, or of each answer of a stream; a struct, or a `Page`."""
    is_stream: bool
    errors: tuple[Code, ...]
    needs_server: bool
    """Whether it works on the running server only, not on the database alone."""
    room: str
    """The field of the request with the room on whose node it is done; empty where any node does it."""
    irreversible: bool
    """Whether what it removes cannot be had back: people are asked before."""
    answer: str
    """The field of the response that is a yes or no, where the operation is a question."""
    addresses: tuple[AddressField, ...]
    """The fields of the request that hold addresses."""
    run: Callable[[Context, Any], Any]

    def subjects_of(self, request: msgspec.Struct) -> tuple[Jid, ...]:
        """Give whose accounts, sessions or domains the request is about."""
        found: list[Jid] = []
        for subject in self.subjects:
            if isinstance(subject, str):
                field = next(field for field in self.addresses if field.name == subject)
                found += field.values_of(request)
            elif (jid := subject(request)) is not None:
                found.append(jid)
        return tuple(found)


def operation(
    category: str,
    name: str,
    *,
    roles: frozenset[Role],
    changes: bool,
    subjects: tuple[Subject, ...] = (),
    without_subject: Literal["operator", "own"] = "operator",
    on_former_domains: bool = False,
    errors: tuple[Code, ...] = (),
    needs_server: bool = False,
    room: str = "",
    irreversible: bool = False,
    answer: str = "",
) -> Callable[[Run[Request, Response]], Operation]:
    """Declare an operation; the function's annotations give its request and response."""

    def declare(run: Run[Request, Response]) -> Operation:
        hints = get_type_hints(run, include_extras=True)
        promise, _, details = inspect.cleandoc(run.__doc__ or "").partition("\n")
        request, response = hints["request"], hints["return"]
        is_stream = get_origin(response) is AsyncIterator
        addresses = address_fields(request)
        named = {subject for subject in subjects if isinstance(subject, str)}
        assert named <= {field.name for field in addresses}, f"{name}: a subject is a field with an address"
        every: tuple[Code, ...] = (*errors, "not-allowed", "unavailable")  # what the catalogue itself answers
        if addresses or msgspec.structs.fields(request):
            every = ("invalid", *every)
        if subjects:
            every = (*every[:1], "not-found", *every[1:])
        return Operation(
            category=category,
            name=name,
            roles=roles,
            subjects=subjects,
            without_subject=without_subject,
            on_former_domains=on_former_domains,
            changes=changes,
            promise=promise,
            details=details.strip(),
            request=request,
            response=get_args(response)[0] if is_stream else response,
            is_stream=is_stream,
            errors=tuple(dict.fromkeys(every)),
            needs_server=needs_server,
            room=room,
            irreversible=irreversible,
            answer=answer,
            addresses=addresses,
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

    async def call(self, context: Context, category: str, name: str, arguments: object) -> Any:  # noqa: ANN401  # any struct
        """Run an operation with arguments as JSON gives them; raises `OperationError` alone."""
        found = self.get(category, name)
        with audited(context, found) as attempt:
            _check_role(context, found)
            attempt.request = to_request(arguments, found.request)
            return await _run(context, found, attempt.request)

    async def run(self, context: Context, found: Operation, request: msgspec.Struct) -> Any:  # noqa: ANN401  # any struct
        """Run an operation with a typed request; raises `OperationError` and nothing else foreseen."""
        with audited(context, found, request):
            return await _run(context, found, request)

    async def stream(
        self, context: Context, category: str, name: str, arguments: object
    ) -> AsyncGenerator[msgspec.Struct, None]:
        """Give the answers of an operation that has many; raises `OperationError`, also between two."""
        found = self.get(category, name)
        if not found.is_stream:
            raise TypeError(f"{category} {name} has one answer")
        with audited(context, found) as attempt:
            _check_role(context, found)
            attempt.request = request = to_request(arguments, found.request)
            with told(context.caller):
                _check(context, found, request)
                async for response in found.run(context, request):
                    yield response


async def _run(context: Context, found: Operation, request: msgspec.Struct) -> Any:  # noqa: ANN401  # any struct
    if found.is_stream:
        raise TypeError(f"{found.category} {found.name} answers with a stream")
    with told(context.caller):
        _check(context, found, request)
        if found.room:
            return await run_at_owner(context, found, request)
        return await found.run(context, request)


def _check(context: Context, found: Operation, request: msgspec.Struct) -> None:
    """Enforce what the operation declares; raises `OperationError`."""
    _check_role(context, found)
    if found.needs_server and context.live is None:
        raise OperationError("unavailable", "the server is not running")
    example = next(iter(context.domains), "example.org")
    for field in found.addresses:
        for jid in field.values_of(request):
            check_address(jid, field.scalar, example)
    subjects = found.subjects_of(request)
    for subject in subjects:
        context.require(subject, or_was_served=found.on_former_domains)
        if found.changes:
            context.require_no_more_rights(subject)
    if not subjects and found.without_subject == "operator" and not context.caller.is_for_all:
        if not found.subjects:
            raise OperationError("not-allowed", f"{context.caller.name} may not do this")
        raise OperationError("not-allowed", f"{context.caller.name} must say for whom")


def _check_role(context: Context, found: Operation) -> None:
    caller = context.caller
    if caller.acts_for_nobody:
        raise OperationError("not-allowed", f"{caller.name} administers no domain")
    if caller.role not in found.roles or not caller.has_scope_for(
        found.category, found.name, changes=found.changes
    ):
        raise OperationError("not-allowed", f"{caller.name} may not call {found.category} {found.name}")
