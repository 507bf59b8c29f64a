"""Node configuration: how a node behaves, as the form that owners read and fill in (XEP-0060 §16.4.4).

One table has the fields. The form of a node, what an owner submits, and the preconditions of a publication
are three walks over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tidings.base.errors import StanzaError
from tidings.ports.nodes import AccessModel, NodeConfig, PublishModel, SendLast
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import FORM_TYPE, DataForm, Field, FieldKind, FormKind, Option
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_INT, read_unsigned
from tidings.wire.xmpp.payloads.pubsub import refusal

_MAX: Final = "max"
_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}
_LONGEST_TEXT: Final = 1_024


class ConfigField(msgspec.Struct, frozen=True):
    """One field of the form, and the attribute of `NodeConfig` behind it."""

    name: str
    attribute: str
    label: str
    kind: FieldKind
    read: Callable[[str, tuple[str, ...]], Any]
    options: tuple[str, ...] = ()


def _text(_name: str, values: tuple[str, ...]) -> str:
    return "\n".join(values)[:_LONGEST_TEXT]


def _texts(_name: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each[:_LONGEST_TEXT] for each in values[:100])


def _boolean(name: str, values: tuple[str, ...]) -> bool:
    try:
        return _TRUTHS[values[0]]
    except (IndexError, KeyError):
        raise StanzaError("not-acceptable", f"{name} must be true or false") from None


def _number(name: str, values: tuple[str, ...]) -> int | None:
    text = "".join(values[:1])
    if text == _MAX:
        return None
    try:
        return read_unsigned(text, name, minimum=0, maximum=UNSIGNED_INT)
    except StanzaError:
        raise StanzaError("not-acceptable", f"{name} must be a number or {_MAX!r}") from None


def _one_of(known: Iterable[Any]) -> Callable[[str, tuple[str, ...]], Any]:
    choices = {str(each): each for each in known}

    def read(name: str, values: tuple[str, ...]) -> Any:  # noqa: ANN401  # a member of that enumeration
        try:
            return choices["".join(values[:1])]
        except KeyError:
            raise StanzaError("not-acceptable", f"{name} takes one of: {', '.join(choices)}") from None

    return read


def _choice(name: str, attribute: str, label: str, known: Iterable[Any]) -> ConfigField:
    known = tuple(known)
    return ConfigField(
        f"pubsub#{name}", attribute, label, FieldKind.LIST_SINGLE, _one_of(known), tuple(map(str, known))
    )


def _truth(name: str, label: str) -> ConfigField:
    return ConfigField(f"pubsub#{name}", name, label, FieldKind.BOOLEAN, _boolean)


FIELDS: Final = (
    ConfigField("pubsub#title", "title", "Name for people", FieldKind.TEXT_SINGLE, _text),
    ConfigField("pubsub#type", "payload_type", "Namespace of payloads", FieldKind.TEXT_SINGLE, _text),
    _choice("access_model", "access_model", "Who may subscribe and read", AccessModel),
    ConfigField(
        "pubsub#roster_groups_allowed",
        "roster_groups",
        "Roster groups that may subscribe and read",
        FieldKind.TEXT_MULTI,
        _texts,
    ),
    _choice("publish_model", "publish_model", "Who may publish", PublishModel),
    ConfigField("pubsub#max_items", "max_items", "Items that stay, or 'max'", FieldKind.TEXT_SINGLE, _number),
    ConfigField(
        "pubsub#item_expire",
        "item_expire",
        "Seconds after which items go, or 'max'",
        FieldKind.TEXT_SINGLE,
        _number,
    ),
    _truth("persist_items", "Whether items are kept"),
    _truth("deliver_notifications", "Whether news are sent"),
    _truth("deliver_payloads", "Whether they have the payloads"),
    _truth("notify_config", "Whether a change of this form is told"),
    _truth("notify_delete", "Whether the end of the node is told"),
    _truth("notify_retract", "Whether the end of items is told"),
    _choice("send_last_published_item", "send_last", "When the last item is sent", SendLast),
    _choice("notification_type", "notification_type", "Type of the messages", ("normal", "headline")),
)
"""What can be configured. A field of a form that is not here says nothing."""

_BY_NAME: Final = {field.name: field for field in FIELDS}

_FIXED: Final = {
    "pubsub#node_type": {"leaf"},
    "pubsub#subscribe": {"1", "true"},
    "pubsub#tempsub": {"0", "false"},
    "pubsub#notify_sub": {"0", "false"},
    "pubsub#purge_offline": {"0", "false"},
    "pubsub#publish_node_full": {"discard-oldest"},
}
"""What every node does and nobody can change, as a precondition may name it."""


def form_of(config: NodeConfig, kind: FormKind = FormKind.FORM) -> DataForm:
    """Give the form of a node, to fill in or to tell."""
    return DataForm.of(kind, ns.PUBSUB_NODE_CONFIG, *(_filled(field, config, kind) for field in FIELDS))


def configured(config: NodeConfig, form: DataForm | None, *, most: int) -> NodeConfig:
    """Give the configuration that a submitted form makes of another one.

    Raises `not-acceptable` for a value that a field cannot have, or more than `most` items.
    """
    if form is None:
        return config
    changes = {
        _BY_NAME[each.name].attribute: _BY_NAME[each.name].read(each.name, each.values)
        for each in form.fields
        if each.name in _BY_NAME
    }
    number = changes.get("max_items")
    if number is not None and number > most:
        text = f"a node has at most {most} items; ask for 'max' to have as many as there may be"
        raise StanzaError("not-acceptable", text)
    return replace(config, **changes)


def check_form_type(form: DataForm | None, expected: str) -> None:
    """Raise `bad-request` for a form with fields that is about something else (XEP-0068)."""
    if form is not None and form.fields and form.form_type != expected:
        raise StanzaError("bad-request", f"the FORM_TYPE must be {expected}")


def check_preconditions(config: NodeConfig, form: DataForm | None) -> None:
    """Raise `precondition-not-met` where a node is otherwise than a publication wants it (§7.1.5)."""
    for each in () if form is None else form.fields:
        if each.name == FORM_TYPE:
            continue
        if not _is_met(config, each):
            raise refusal("conflict", "precondition-not-met", f"the node does not have this {each.name}")


def made_for(config: NodeConfig, form: DataForm | None, *, most: int) -> NodeConfig:
    """Give the configuration of a node that a publication makes (§7.1.5), from the one that others have."""
    made = configured(config, form, most=most)
    check_preconditions(made, form)  # of a field that nobody knows
    return made


def _is_met(config: NodeConfig, wanted: Field) -> bool:
    field = _BY_NAME.get(wanted.name)
    if field is None:
        return wanted.value in _FIXED.get(wanted.name, ())
    try:
        return bool(field.read(wanted.name, wanted.values) == getattr(config, field.attribute))
    except StanzaError:
        return False


def _filled(field: ConfigField, config: NodeConfig, kind: FormKind) -> Field:
    value = getattr(config, field.attribute)
    match value:
        case bool():
            values: tuple[str, ...] = ("1" if value else "0",)
        case None:
            values = (_MAX,)
        case tuple():
            values = value
        case _:
            values = (str(value),)
    if kind is not FormKind.FORM:
        return Field(field.name, values)
    return Field(field.name, values, field.kind, field.label, options=tuple(map(Option, field.options)))
