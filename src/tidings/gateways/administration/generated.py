"""Commands for the operations that XEP-0133 has no use case for, made from what the catalogue tells of each.

A request's fields become the fields of a form, and a response's values what is shown; so every operation
can be run from a client, under the node `urn:tidings:operation:CATEGORY:NAME`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from tidings.base.jid import Jid
from tidings.gateways.administration.door import Door
from tidings.gateways.administration.service import COVERED
from tidings.gateways.commands import Outcome
from tidings.operations.catalogue import Operation
from tidings.operations.values import fields_of, unwrapped
from tidings.wire.xmpp.payloads.command import Note, NoteKind, bad_request
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option, Validation

NODE_PREFIX: Final = "urn:tidings:operation:"


class GeneratedCommand(msgspec.Struct, frozen=True):
    """One operation as a command."""

    door: Door
    operation: Operation
    is_for_everybody: bool = False

    @property
    def node(self) -> str:
        """A node made of category and name."""
        return f"{NODE_PREFIX}{self.operation.category}:{self.operation.name}"

    @property
    def name(self) -> str:
        """The promise of the operation."""
        return self.operation.promise.rstrip(".")

    @property
    def stages(self) -> tuple[DataForm, ...]:
        """One form with the fields of the request, or none where it has none."""
        fields = tuple(map(form_field, fields_of(self.operation.request)))
        if not fields:
            return ()
        details = " ".join(self.operation.details.split())
        return (DataForm.of(FormKind.FORM, self.node, *fields, title=self.name, instructions=details),)

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Run the operation and show its response."""
        given = answers[0] if answers else DataForm(FormKind.SUBMIT)
        arguments = dict(read_arguments(self.operation.request, given))
        operation = self.operation
        response = await self.door.call(administrator, operation.category, operation.name, **arguments)
        more = (Note("There are more.", NoteKind.INFO),) if response.get("next") else ()
        return Outcome(shown(self.node, response), more)


def generated_commands(door: Door) -> Iterator[GeneratedCommand]:
    """Give a command for every operation that the standard ones leave out."""
    for operation in door.operations():
        if (operation.category, operation.name) not in COVERED and _fits_a_form(operation.request):
            yield GeneratedCommand(door, operation)


@cache
def _fits_a_form(request: type[msgspec.Struct]) -> bool:
    """Tell whether a person could fill it in: what is a list of records is for programs."""
    kinds = (_unwrapped(field.type)[0] for field in fields_of(request))
    return not any(
        isinstance(kind, inspect.VarTupleType) and isinstance(kind.item_type, inspect.StructType)
        for kind in kinds
    )


def form_field(field: inspect.Field) -> Field:
    """Return the form's field for a field of a request."""
    kind, description, is_secret = _unwrapped(field.type)
    default = "" if field.default in (msgspec.NODEFAULT, None) else str(field.default)
    plain = Field(
        field.encode_name,
        (default,) if default else (),
        FieldKind.TEXT_PRIVATE if is_secret else FieldKind.TEXT_SINGLE,
        description,
        is_required=field.required,
    )
    match kind:
        case inspect.VarTupleType():
            return replace(plain, kind=FieldKind.TEXT_MULTI, values=())
        case inspect.BoolType():
            values = (default.lower() or "false",)
            return replace(plain, kind=FieldKind.BOOLEAN, values=values, is_required=False)
        case inspect.LiteralType(values=choices):
            options = tuple(Option(str(choice)) for choice in choices)
            return replace(plain, kind=FieldKind.LIST_SINGLE, options=options)
        case inspect.IntType(ge=lowest, le=highest):
            minimum, maximum = ("" if limit is None else str(limit) for limit in (lowest, highest))
            return replace(plain, validation=Validation("xs:integer", "range", minimum, maximum))
    return plain


def read_arguments(struct: type[msgspec.Struct], form: DataForm) -> Iterator[tuple[str, object]]:
    """Give the arguments that a submission holds; what was left empty keeps its default."""
    for field in fields_of(struct):
        text = form.text(field.encode_name)
        kind, _, _ = _unwrapped(field.type)
        if not text and not field.required:
            continue
        match kind:
            case inspect.VarTupleType():
                yield field.encode_name, form.values(field.encode_name)
            case inspect.BoolType():
                yield field.encode_name, form.boolean(field.encode_name)
            case inspect.IntType():
                yield field.encode_name, _integer(field.encode_name, text)
            case _:
                yield field.encode_name, text


def shown(node: str, response: Mapping[str, Any]) -> DataForm:
    """Return a response as a form: a table if it is a list of records, else one field for each value."""
    tables = [value for value in response.values() if _is_table(value)]
    if len(tables) == 1 and response.keys() <= {"items", "next"}:
        (rows,) = tables
        columns = tuple(Field(name, (), FieldKind.TEXT_SINGLE, _label(name)) for name in rows[0])
        items = tuple(tuple(Field(name, _texts(value)) for name, value in row.items()) for row in rows)
        return DataForm(FormKind.RESULT, reported=columns, items=items)
    fields = (Field(name, _texts(value), _kind_of(value), _label(name)) for name, value in response.items())
    return DataForm.of(FormKind.RESULT, node, *fields)


def _unwrapped(kind: inspect.Type) -> tuple[inspect.Type, str, bool]:
    """Return a type without its annotations, its description, and whether its value is a secret."""
    description, is_secret, inner = "", False, kind
    while isinstance(inner, inspect.Metadata):
        description = description or str((inner.extra_json_schema or {}).get("description", ""))
        is_secret = is_secret or bool((inner.extra or {}).get("secret"))
        inner = inner.type
    return unwrapped(kind), description.rstrip("."), is_secret


def _integer(name: str, text: str) -> int:
    """Read a whole number; its limits are the operation's."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise bad_request("bad-payload", f"{name} must be a whole number")
    return int(text)


def _is_table(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _kind_of(value: object) -> FieldKind:
    if isinstance(value, bool):
        return FieldKind.BOOLEAN
    return FieldKind.TEXT_MULTI if isinstance(value, list | tuple) else FieldKind.TEXT_SINGLE


def _texts(value: object) -> tuple[str, ...]:
    """Return a value as the texts of a field."""
    match value:
        case None:
            return ()
        case bool():
            return ("true" if value else "false",)
        case list() | tuple():
            return tuple(text for each in value for text in _texts(each))
        case dict():
            return (", ".join(f"{name}: {' '.join(_texts(each))}" for name, each in value.items()),)
    return (str(value),)


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()
