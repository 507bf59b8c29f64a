"""Data Forms: typed fields to fill in, submit and report.

XEP-0004 2.13.2 with FORM_TYPE (XEP-0068 1.3.0) and validation (XEP-0122 1.0.2). Left out: media elements
(XEP-0221), layout (XEP-0141) and evaluating a peer's regular expressions, which are kept as text only.
"""

import enum
from collections.abc import Iterable
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import UNSIGNED_INT, read_unsigned

FORM_TYPE: Final = "FORM_TYPE"


class FormKind(enum.StrEnum):
    """What a form is for (§3.1)."""

    FORM = "form"
    SUBMIT = "submit"
    CANCEL = "cancel"
    RESULT = "result"


class FieldKind(enum.StrEnum):
    """What a field gathers (§3.3)."""

    BOOLEAN = "boolean"
    FIXED = "fixed"
    HIDDEN = "hidden"
    JID_MULTI = "jid-multi"
    JID_SINGLE = "jid-single"
    LIST_MULTI = "list-multi"
    LIST_SINGLE = "list-single"
    TEXT_MULTI = "text-multi"
    TEXT_PRIVATE = "text-private"
    TEXT_SINGLE = "text-single"


class Option(msgspec.Struct, frozen=True):
    """One choice of a list field."""

    value: str
    label: str = ""


class Validation(msgspec.Struct, frozen=True):
    """How the values of a field are to be written (XEP-0122 §3).

    `method` is basic, open, range or regex; `minimum` and `maximum` belong to range, `pattern` to regex;
    `fewest` and `most` bound the number of choices of a list (§3.3).
    """

    datatype: str = "xs:string"
    method: str = "basic"
    minimum: str = ""
    maximum: str = ""
    pattern: str = ""
    fewest: int | None = None
    most: int | None = None


class Field(msgspec.Struct, frozen=True):
    """One field: `name` is its `var`, and `kind` is None where the form leaves it to the context."""

    name: str
    values: tuple[str, ...] = ()
    kind: FieldKind | None = None
    label: str = ""
    description: str = ""
    is_required: bool = False
    options: tuple[Option, ...] = ()
    validation: Validation | None = None

    @property
    def value(self) -> str:
        """The first value, or nothing."""
        return self.values[0] if self.values else ""


class DataForm(msgspec.Struct, frozen=True):
    """A form with its fields in the order in which they are shown."""

    TAG: ClassVar[tuple[str, str]] = (ns.DATA_FORMS, "x")

    kind: FormKind = FormKind.FORM
    fields: tuple[Field, ...] = ()
    title: str = ""
    instructions: tuple[str, ...] = ()
    reported: tuple[Field, ...] = ()
    items: tuple[tuple[Field, ...], ...] = ()

    @classmethod
    def of(
        cls, kind: FormKind, form_type: str, *fields: Field, title: str = "", instructions: str = ""
    ) -> Self:
        """Return a form whose field names are those of the registry entry `form_type` (XEP-0068)."""
        scope = Field(FORM_TYPE, (form_type,), FieldKind.HIDDEN)
        return cls(kind, (scope, *fields), title, (instructions,) if instructions else ())

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the form; raise `bad-request` for an unknown kind of form or a field without a name."""
        try:
            kind = FormKind(element.get("type") or FormKind.FORM)
        except ValueError as error:
            raise StanzaError("bad-request", "a data form is a form, submit, cancel or result") from error
        header = element.find("reported")
        return cls(
            kind,
            _decode_fields(element),
            element.text_of("title") or "",
            tuple(line.text for line in element.find_all("instructions")),
            () if header is None else _decode_fields(header),
            tuple(_decode_fields(item) for item in element.find_all("item")),
        )

    def encode(self) -> Element:
        """Return `<x/>`."""
        form = Element("x", ns.DATA_FORMS, {"type": self.kind.value})
        if self.title:
            form.append(_texted("title", self.title))
        for line in self.instructions:
            form.append(_texted("instructions", line))
        for field in self.fields:
            form.append(_encode_field(field))
        if self.reported:
            form.append(Element("reported", ns.DATA_FORMS, None, *map(_encode_field, self.reported)))
        for item in self.items:
            form.append(Element("item", ns.DATA_FORMS, None, *map(_encode_field, item)))
        return form

    @property
    def form_type(self) -> str:
        """The FORM_TYPE, or nothing; outside a submission the field has to be hidden (XEP-0068 §3.2)."""
        field = self.get(FORM_TYPE)
        if field is None or not (field.kind is FieldKind.HIDDEN or self.kind is FormKind.SUBMIT):
            return ""
        return field.value

    def get(self, name: str) -> Field | None:
        """Return the first field with this name."""
        return next((field for field in self.fields if field.name == name), None)

    def values(self, name: str) -> tuple[str, ...]:
        """Return the values of a field; none if the form does not have it."""
        field = self.get(name)
        return field.values if field else ()

    def text(self, name: str) -> str:
        """Return the values of a field as lines of one text (§3.3, text-multi)."""
        return "\n".join(self.values(name))

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """Return a yes or no, or raise `bad-request`; an absent or empty field means `default`."""
        match self.values(name)[:1]:
            case ("true" | "1",):
                return True
            case ("false" | "0",):
                return False
            case () | ("",):
                return default
        raise StanzaError("bad-request", f"{name} must be true or false")

    def number(self, name: str, *, default: int, minimum: int = 0, maximum: int = UNSIGNED_INT) -> int:
        """Return a whole number inside its limits, or raise `bad-request`; absent means `default`."""
        text = "".join(self.values(name)[:1])
        return read_unsigned(text, name, minimum=minimum, maximum=maximum) if text else default

    def jids(self, name: str) -> tuple[Jid, ...]:
        """Return the addresses of a field, each once, or raise `jid-malformed` (§3.3, jid-multi)."""
        try:
            return tuple(dict.fromkeys(Jid(value) for value in self.values(name) if value))
        except JidError as error:
            raise StanzaError("jid-malformed", f"{name}: {error}") from error


def check_submission(form: DataForm, submission: DataForm) -> None:
    """Raise the error that a submission earns against the form it answers; unknown fields are ignored (§3.1).

    `not-acceptable` for a required field without a value; `bad-request` for several values where one belongs
    and for a choice that was not offered.
    """
    for field in form.fields:
        given = submission.values(field.name)
        if field.is_required and not any(given):
            raise StanzaError("not-acceptable", f"{field.name} is required")
        if len(given) > 1 and not _may_repeat(field.kind):
            raise StanzaError("bad-request", f"{field.name} takes one value")
        if field.kind in (FieldKind.LIST_SINGLE, FieldKind.LIST_MULTI) and not _is_open(field):
            offered = {option.value for option in field.options}
            if not offered.issuperset(filter(None, given)):
                raise StanzaError("bad-request", f"{field.name} takes one of: {', '.join(sorted(offered))}")


def _may_repeat(kind: FieldKind | None) -> bool:
    return kind in (FieldKind.LIST_MULTI, FieldKind.JID_MULTI, FieldKind.TEXT_MULTI, FieldKind.HIDDEN)


def _is_open(field: Field) -> bool:
    """Tell whether a list takes values beside those offered (XEP-0122 §3.2.2)."""
    return field.validation is not None and field.validation.method == "open"


def _decode_fields(parent: Element) -> tuple[Field, ...]:
    return tuple(_decode_field(field) for field in parent.find_all("field"))


def _decode_field(element: Element) -> Field:
    name, kind = element.get("var") or "", _decode_kind(element.get("type"))
    if not name and kind is not FieldKind.FIXED:
        raise StanzaError("bad-request", "a field of a data form needs a var")
    validation = element.find("validate", ns.DATA_FORMS_VALIDATE)
    return Field(
        name,
        tuple(value.text for value in element.find_all("value")),
        kind,
        element.get("label") or "",
        element.text_of("desc") or "",
        element.find("required") is not None,
        tuple(
            Option(option.text_of("value") or "", option.get("label") or "")
            for option in element.find_all("option")
        ),
        None if validation is None else _decode_validation(validation),
    )


def _decode_kind(text: str | None) -> FieldKind | None:
    """Return the kind; an unknown one counts as text-single (§3.3)."""
    if text is None:
        return None
    try:
        return FieldKind(text)
    except ValueError:
        return FieldKind.TEXT_SINGLE


def _decode_validation(element: Element) -> Validation:
    namespace = element.namespace
    datatype = element.get("datatype") or "xs:string"
    count = element.find("list-range", namespace)
    fewest = None if count is None else _decode_count(count.get("min"))
    most = None if count is None else _decode_count(count.get("max"))
    if (span := element.find("range", namespace)) is not None:
        return Validation(datatype, "range", span.get("min") or "", span.get("max") or "", "", fewest, most)
    if (pattern := element.text_of("regex", namespace)) is not None:
        return Validation(datatype, "regex", "", "", pattern, fewest, most)
    method = "open" if element.find("open", namespace) is not None else "basic"
    return Validation(datatype, method, fewest=fewest, most=most)


def _decode_count(text: str | None) -> int | None:
    return None if text is None else read_unsigned(text, "list-range")


def _encode_field(field: Field) -> Element:
    attributes = {
        "var": field.name,
        "type": "" if field.kind is None else field.kind.value,
        "label": field.label,
    }
    element = Element("field", ns.DATA_FORMS, {name: text for name, text in attributes.items() if text})
    if field.validation is not None:
        element.append(_encode_validation(field.validation))
    if field.description:
        element.append(_texted("desc", field.description))
    if field.is_required:
        element.append(Element("required", ns.DATA_FORMS))
    for value in field.values:
        element.append(_texted("value", value))
    for option in field.options:
        label = {"label": option.label} if option.label else {}
        element.append(Element("option", ns.DATA_FORMS, label, _texted("value", option.value)))
    return element


def _encode_validation(validation: Validation) -> Element:
    namespace = ns.DATA_FORMS_VALIDATE
    element = Element("validate", namespace, {"datatype": validation.datatype})
    match validation.method:
        case "range":
            element.append(
                Element("range", namespace, _present(min=validation.minimum, max=validation.maximum))
            )
        case "regex":
            element.append(Element("regex", namespace, None, *_content(validation.pattern)))
        case method:
            element.append(Element(method, namespace))
    if validation.fewest is not None or validation.most is not None:
        bounds = {"min": validation.fewest, "max": validation.most}
        attributes = {name: str(number) for name, number in bounds.items() if number is not None}
        element.append(Element("list-range", namespace, attributes))
    return element


def _present(**attributes: str) -> dict[str, str]:
    return {name: text for name, text in attributes.items() if text}


def _texted(name: str, text: str) -> Element:
    return Element(name, ns.DATA_FORMS, None, *_content(text))


def _content(text: str) -> Iterable[str]:
    return (text,) if text else ()
