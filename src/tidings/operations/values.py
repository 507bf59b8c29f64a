"""Values of requests and answers: addresses, times and pages, the same in every door.

A door finds out which of them a field holds by `scalar_of`. In a request an address is a text that is read
before the operation runs; in an answer it becomes a text again by `to_plain` or `to_json`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, inspect

from tidings.base.jid import Jid, JidError
from tidings.operations.characters import check_characters
from tidings.operations.errors import OperationError
from tidings.operations.plain_words import shown, why_wrong

Item = TypeVar("Item")

AUDITED: Final[dict[str, object]] = {"audited": True}
"""Marks free text of a request that the audit log may tell: no secret, and nobody's message."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Scalar(enum.Enum):
    """What kind of address a field holds."""

    ACCOUNT = "AccountAddress"
    SESSION = "SessionAddress"
    ADDRESS = "Address"
    DOMAIN = "Domain"


AccountAddress = Annotated[Jid, Meta(extra={"scalar": Scalar.ACCOUNT})]
"""The bare address of an account: `alice@example.org`."""
SessionAddress = Annotated[Jid, Meta(extra={"scalar": Scalar.SESSION})]
"""The address of an account, or with its resource that of one of its sessions."""
Address = Annotated[Jid, Meta(extra={"scalar": Scalar.ADDRESS})]
"""Any address, of this server or of another one."""
Domain = Annotated[Jid, Meta(extra={"scalar": Scalar.DOMAIN})]
"""The name of a domain alone."""
Reason = Annotated[str, Meta(max_length=1000, extra=AUDITED)]
"""Why something is done, for the people whom it concerns."""
Time = Annotated[str, Meta(max_length=64)]
"""A time of a request: `2026-01-31`, or with hours, minutes and zone; `read_time` reads it."""
Moment = Annotated[datetime, Meta(tz=True)]
"""A time in UTC, written by ISO 8601: `2026-01-31T12:00:00Z`."""


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """A part of a list; `next` is what to ask for as `after` to get the following part, null at the end."""

    items: tuple[Item, ...]
    next: str | None = None


class AddressField(NamedTuple):
    """A field of a request that holds an address, or several."""

    name: str
    scalar: Scalar

    def values_of(self, request: msgspec.Struct) -> tuple[Jid, ...]:
        """Give the addresses that the request has in this field."""
        value = getattr(request, self.name)
        if value is None:
            return ()
        return value if isinstance(value, tuple) else (value,)


def moment_of(seconds: float) -> datetime:
    """Give the time of these seconds since the epoch, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC)


def exact_moment_of(microseconds: int) -> datetime:
    """Give the time of these microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


@cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    """Describe the fields of a request or response, as msgspec reads its annotations."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return described.fields


def address_fields(request: type[msgspec.Struct]) -> tuple[AddressField, ...]:
    """Give the fields of a request that hold addresses."""
    found = ((field.name, scalar_of(field.type)) for field in fields_of(request))
    return tuple(AddressField(name, scalar) for name, scalar in found if scalar is not None)


def scalar_of(kind: inspect.Type) -> Scalar | None:
    """Tell which address a type is, also where it may be null or is one of a list."""
    return next((found for found in map(_scalar, _layers(kind)) if found is not None), None)


def unwrapped(kind: inspect.Type) -> inspect.Type:
    """Give a type without annotations and without null: what a value of it is where there is one."""
    *_, innermost = _layers(kind, into_lists=False)
    return innermost


def read_address(text: object) -> Jid:
    """Read an address of a request; raises `OperationError` for a text that is none."""
    try:
        return _read_address(text)
    except ValueError as error:
        raise OperationError("invalid", str(error)) from None


def read_time(text: str | None, field: str) -> float | None:
    """Read a time of a request as seconds since the epoch; raises `OperationError` that names the field."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        told = f"`{field}` is wrong: {text!r} is no time; write 2026-01-31 or 2026-01-31T12:00:00Z"
        raise OperationError("invalid", told) from None


def check_address(jid: Jid, scalar: Scalar, example: str) -> None:
    """Raise `OperationError` for an address that is not of this kind; `example` is a domain served here."""
    match scalar:
        case Scalar.ACCOUNT | Scalar.SESSION if not jid.local:
            told = f"{str(jid)!r} names no account; write name@domain, such as {jid.domain}@{example}"
            raise OperationError("invalid", told)
        case Scalar.ACCOUNT if jid.resource:
            raise OperationError("invalid", f"{jid} has a resource; write {jid.bare}")
        case Scalar.DOMAIN if jid.local or jid.resource:
            raise OperationError("invalid", f"{str(jid)!r} is not a domain; write {jid.domain}")


def to_request(arguments: object, request: type[msgspec.Struct]) -> msgspec.Struct:
    """Make a request of what JSON gives; raises `OperationError` that names the field that is wrong."""
    check_characters(arguments)
    try:
        return msgspec.convert(arguments, request, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise OperationError("invalid", why_wrong(error, arguments, request)) from None


def to_plain(answer: object) -> Any:  # noqa: ANN401  # plain JSON
    """Give an answer as JSON has it: texts, numbers, lists and dicts."""
    return msgspec.to_builtins(answer, enc_hook=_encode)


def to_json(answer: object) -> bytes:
    """Write an answer as JSON."""
    return msgspec.json.encode(answer, enc_hook=_encode)


def read_json(raw: bytes | msgspec.Raw, kind: Any) -> Any:  # noqa: ANN401  # any type of a request or an answer
    """Read what `to_json` has written."""
    return msgspec.json.decode(raw, type=kind, dec_hook=_decode)


def _read_address(text: object) -> Jid:
    """Read an address; raises `ValueError`, to which msgspec adds the field."""
    if isinstance(text, Jid):
        return text
    if not isinstance(text, str):
        raise ValueError(f"{shown(text)} is not an address: it must be a text")  # see above
    try:
        return Jid(text)
    except JidError as error:
        raise ValueError(f"{shown(text)} is not an address: {error}") from None


def _decode(kind: type, value: object) -> object:
    if kind is Jid:
        return _read_address(value)
    raise NotImplementedError(f"no request has a {kind.__name__}")


def _encode(value: object) -> str:
    if isinstance(value, Jid):
        return value.text
    raise NotImplementedError(f"no answer has a {type(value).__name__}")


def _scalar(kind: inspect.Type) -> Scalar | None:
    if not isinstance(kind, inspect.Metadata):
        return None
    found = (kind.extra or {}).get("scalar")
    return found if isinstance(found, Scalar) else None


def _layers(kind: inspect.Type, *, into_lists: bool = True) -> Iterator[inspect.Type]:
    """Give a type, and what it is made of, from the outside in."""
    yield kind
    match kind:
        case inspect.Metadata(type=inner):
            yield from _layers(inner, into_lists=into_lists)
        case inspect.UnionType(types=types):
            (inner, *_) = (one for one in types if not isinstance(one, inspect.NoneType))
            yield from _layers(inner, into_lists=into_lists)
        case inspect.VarTupleType(item_type=inner) if into_lists:
            yield from _layers(inner)
