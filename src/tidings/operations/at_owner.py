"""At the owner: an operation on a room is done by the node where the room lives.

Who is in a room is known there alone, and there its changes come one after another. The node that was asked
has checked the caller and writes the audit log; the owner does the rest in the caller's name, and its answer,
or its refusal with code and reason, is what the caller gets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec
import structlog

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.owner_works import UNKNOWN
from tidings.operations.context import Caller, Context
from tidings.operations.errors import Code, OperationError
from tidings.operations.failures import told
from tidings.operations.values import read_json, to_json

log = structlog.get_logger("tidings.operations")

_WORK: Final = "operation"
_UNKNOWN: Final = (
    "the node where {} lives has gone before it answered: nobody knows whether this was done. "
    "Look what is there now, and ask again"
)


class _RoomOperation(Protocol):
    """An operation, as far as the way to the owner needs it."""

    @property
    def category(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def changes(self) -> bool: ...
    @property
    def request(self) -> type[msgspec.Struct]: ...
    @property
    def response(self) -> Any: ...  # noqa: ANN401  # a type or a generic of one
    @property
    def run(self) -> Callable[[Context, Any], Any]: ...


class _Asked(msgspec.Struct, frozen=True):
    """An operation on its way to the owner."""

    category: str
    name: str
    request: msgspec.Raw
    caller: msgspec.Raw


class _Answered(msgspec.Struct, frozen=True):
    """What the owner says of it: its response, or why it has none."""

    response: msgspec.Raw = msgspec.Raw(b"null")
    code: Code | None = None
    text: str = ""
    reason: str = ""


async def run_at_owner(context: Context, found: _RoomOperation, request: msgspec.Struct) -> Any:  # noqa: ANN401  # any struct
    """Run an operation on a room where that lives; raises what it raises there."""
    assert context.live is not None  # declared with needs_server
    router = context.live.router
    address: Jid = getattr(request, found.room)
    host = router.hosts.get(address.domain)
    room = address.bare if host is None or not address.local else host.kind.address(address.bare)
    if not room.local or not router.works.may_be_elsewhere(room):
        return await found.run(context, request)
    asked = _Asked(
        found.category, found.name, msgspec.Raw(to_json(request)), msgspec.Raw(to_json(context.caller))
    )
    try:
        answered = await router.works.do(room, _WORK, msgspec.json.encode(asked), takes=found.changes)
    except StanzaError as error:
        if error.condition != UNKNOWN:
            raise
        log.warning("operation_unknown", operation=f"{found.category} {found.name}", room=room.text)
        raise OperationError("unavailable", _UNKNOWN.format(room)) from error
    answer = msgspec.json.decode(answered, type=_Answered)
    if answer.code is not None:
        raise OperationError(answer.code, answer.text, reason=answer.reason)
    return read_json(answer.response, found.response)


def offer_operations(context: Context, find: Callable[[str, str], _RoomOperation]) -> None:
    """Do operations on rooms of this node for the others; `find` gives one by category and name."""
    assert context.live is not None

    async def do(_room: Jid, raw: bytes) -> bytes:
        asked = msgspec.json.decode(raw, type=_Asked)
        found = find(asked.category, asked.name)
        caller: Caller = read_json(asked.caller, Caller)
        try:
            with told(caller):
                run: Awaitable[Any] = found.run(
                    context.acting_for(caller), read_json(asked.request, found.request)
                )
                answer = _Answered(msgspec.Raw(to_json(await run)))
        except OperationError as error:
            answer = _Answered(code=error.code, text=error.text, reason=error.reason)
        return msgspec.json.encode(answer)

    context.live.router.works.offer(_WORK, do)
