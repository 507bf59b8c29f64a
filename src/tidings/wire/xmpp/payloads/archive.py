"""Message Archive Management: asking an archive for messages, and its answers.

XEP-0313 1.1.3 (`urn:xmpp:mam:1` too), text search (XEP-0431 0.2.0) and the fields that MongooseIM adds. The
fold of edits and reactions is an extension of our own (`archive_fold`).

Limits of a query: 1,000 ids, ids of 1,024 octets, 1,024 characters of search text.
"""

from collections.abc import Collection
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import check_characters, escape_attribute
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive_fold import FOLD, Folded
from tidings.wire.xmpp.payloads.data_form import FORM_TYPE, DataForm, Field, FieldKind, FormKind, Validation
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.forwarding import Forwarded, carry
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.strict import present, read_boolean, read_id, read_jid, read_optional_id
from tidings.wire.xmpp.stanza import Stanza

NAMESPACES: Final = (ns.MAM2, ns.MAM1)
TEXT_FIELDS: Final = (f"{{{ns.FULLTEXT}}}fulltext", "fulltext", "full-text-search")
"""The names of the search field: that of XEP-0431, which is offered, and two that clients send as well."""
IDS: Final = 1_000
TEXT_CHARACTERS: Final = 1_024

_ID_FIELDS: Final = ("before-id", "after-id", "from-id", "to-id")
_FIELDS: Final = frozenset(
    {"with", "start", "end", *_ID_FIELDS, "ids", "include-groupchat", "simple", *TEXT_FIELDS}
)


class ArchiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are wanted; without any wish, all (§4.1). As a get, it asks for the form.

    `peer` is `with`; a bare address stands for all its resources. `start` and `end` are microseconds since
    1970, inclusive; `before_id` and `after_id` exclude the message named, `from_id` and `to_id` include it.
    `with_groupchat` None leaves it to the archive. `is_simple` asks not to count. `page` pages within what
    the fields have selected; a flipped page has its newest message first (§4.3.4). `is_folded` asks what has
    become of each message. `others` are fields that an extension of the server understands.
    """

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((namespace, "query") for namespace in NAMESPACES)

    namespace: str = ns.MAM2
    query_id: str | None = None
    node: str = ""
    peer: Jid | None = None
    start: int | None = None
    end: int | None = None
    before_id: str | None = None
    after_id: str | None = None
    from_id: str | None = None
    to_id: str | None = None
    ids: tuple[str, ...] = ()
    with_groupchat: bool | None = None
    is_simple: bool = False
    text: str = ""
    page: PageRequest = PageRequest()
    is_flipped: bool = False
    is_folded: bool = False
    others: tuple[Field, ...] = ()

    @classmethod
    def decode(cls, element: Element, others: Collection[str] = ()) -> Self:
        """Return the query; `others` are the names of further fields that the server understands.

        Raises `feature-not-implemented` for any other field (§4.1.6), `bad-request` for a form that is none
        of the archive's, a field given twice or with several values, and a value of the wrong kind, and
        `jid-malformed` for a peer that is no address. A field with an empty value wishes nothing.
        """
        namespace = element.namespace
        form = _submission(element, namespace)
        _check_names(form, others)
        peer, start, end = (_value(form, name) for name in ("with", "start", "end"))
        before_id, after_id, from_id, to_id = (
            read_optional_id(_value(form, name), name) for name in _ID_FIELDS
        )
        return cls(
            namespace=namespace,
            query_id=read_optional_id(element.get("queryid"), "queryid"),
            node=element.get("node") or "",
            peer=read_jid(peer, "with") if peer else None,
            start=read_date_time(start, "start") if start else None,
            end=read_date_time(end, "end") if end else None,
            before_id=before_id,
            after_id=after_id,
            from_id=from_id,
            to_id=to_id,
            ids=_read_ids(form),
            with_groupchat=_read_choice(form, "include-groupchat"),
            is_simple=_read_choice(form, "simple") or False,
            text=_read_text(form),
            page=PageRequest.within(element),
            is_flipped=element.find("flip-page") is not None,
            is_folded=element.find(*FOLD) is not None,
            others=tuple(field for field in form.fields if field.name in others),
        )

    def encode(self) -> Element:
        """Return `<query/>`, with a form only if there is a wish to write in it."""
        element = Element("query", self.namespace, present(queryid=self.query_id, node=self.node))
        if fields := self._fields():
            element.append(DataForm.of(FormKind.SUBMIT, self.namespace, *fields).encode())
        if self.page != PageRequest():
            element.append(self.page.encode())
        if self.is_flipped:
            element.append(Element("flip-page", self.namespace))
        if self.is_folded:
            element.append(Element(*FOLD))
        return element

    def _fields(self) -> list[Field]:
        choice = {None: None, True: "true", False: "false"}
        values = {
            "with": self.peer,
            "start": None if self.start is None else format_date_time(self.start),
            "end": None if self.end is None else format_date_time(self.end),
            "before-id": self.before_id,
            "after-id": self.after_id,
            "from-id": self.from_id,
            "to-id": self.to_id,
            "include-groupchat": choice[self.with_groupchat],
            "simple": "true" if self.is_simple else None,
            TEXT_FIELDS[0]: self.text,
        }
        fields = [Field(name, (str(value),)) for name, value in values.items() if value]
        if self.ids:
            fields.append(Field("ids", self.ids))
        return [*fields, *self.others]


class ArchiveForm(msgspec.Struct, frozen=True):
    """The fields that an archive understands: the answer to a get (§4.1.6)."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = ArchiveQuery.TAGS

    form: DataForm
    namespace: str = ns.MAM2

    @classmethod
    def offered(
        cls, namespace: str = ns.MAM2, *, searches: bool = True, others: Collection[Field] = ()
    ) -> Self:
        """Return the form with the fields of this document, plus search and what extensions add.

        `urn:xmpp:mam:1` knows neither ids nor group chat.
        """
        fields = [
            Field("with", kind=FieldKind.JID_SINGLE),
            *(Field(name, kind=FieldKind.TEXT_SINGLE) for name in ("start", "end")),
        ]
        if namespace == ns.MAM2:
            fields += [Field(name, kind=FieldKind.TEXT_SINGLE) for name in ("before-id", "after-id")]
            fields.append(Field("ids", kind=FieldKind.LIST_MULTI, validation=Validation(method="open")))
            fields.append(Field("include-groupchat", kind=FieldKind.BOOLEAN))
        if searches:
            fields.append(Field(TEXT_FIELDS[0], kind=FieldKind.TEXT_SINGLE))
        return cls(DataForm.of(FormKind.FORM, namespace, *fields, *others), namespace)

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the form, or raise `bad-request` if there is none."""
        form = element.find("x", ns.DATA_FORMS)
        if form is None:
            raise StanzaError("bad-request", "an archive answers with a form")
        return cls(DataForm.decode(form), element.namespace)

    def encode(self) -> Element:
        """Return `<query/>` around the form."""
        return Element("query", self.namespace, None, self.form.encode())


class ArchiveResult(msgspec.Struct, frozen=True):
    """One message out of the archive, with its archive id (§4.2), and what became of it if that was asked."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((namespace, "result") for namespace in NAMESPACES)

    id: str
    forwarded: Forwarded
    query_id: str | None = None
    namespace: str = ns.MAM2
    folded: Folded | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the result; raise `bad-request` without an id or a message."""
        folded = element.find("folded", ns.TIDINGS_ARCHIVE)
        return cls(
            read_id(element.get("id"), "id"),
            Forwarded.within(element),
            read_optional_id(element.get("queryid"), "queryid"),
            element.namespace,
            None if folded is None else Folded.decode(folded),
        )

    def to_bytes(self) -> bytes:
        """Return `<result/>`, written for any default namespace; the message is copied as it is.

        Raises `ValueError` when an id holds a character that XML cannot carry.
        """
        query_id = "" if self.query_id is None else f' queryid="{escape_attribute(self.query_id)}"'
        opening = f'<result xmlns="{self.namespace}"{query_id} id="{escape_attribute(self.id)}">'
        folded = b"" if self.folded is None else self.folded.to_bytes()
        return check_characters(opening).encode() + self.forwarded.to_bytes() + folded + b"</result>"

    def message(self, *, to: Jid, archive: Jid, id: str | None = None) -> Stanza:  # noqa: A002  # the attribute's own name
        """Return the message that brings the result to the one who asked."""
        return carry((self.namespace, "result"), self.to_bytes(), to=to, sender=archive, id=id)


class ArchiveFin(msgspec.Struct, frozen=True):
    """The end of a page (§4.3); `others` are elements that an extension of the server adds.

    `is_complete` says that there is nothing more in the direction of travel; what is not stable may change
    when it is asked for again.
    """

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((namespace, "fin") for namespace in NAMESPACES)

    page: Page = Page()
    is_complete: bool = False
    is_stable: bool = True
    namespace: str = ns.MAM2
    others: tuple[Element, ...] = ()

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the end; raise `bad-request` for a page that is none."""
        return cls(
            Page.within(element),
            read_boolean(element.get("complete"), "complete"),
            read_boolean(element.get("stable"), "stable", default=True),
            element.namespace,
            tuple(child for child in element.children if child.namespace != ns.RSM),
        )

    def encode(self) -> Element:
        """Return `<fin/>`, always with a page (§4.1)."""
        complete = {"complete": "true"} if self.is_complete else {}
        stable = {} if self.is_stable else {"stable": "false"}
        return Element("fin", self.namespace, {**complete, **stable}, self.page.encode(), *self.others)


class Landmark(msgspec.Struct, frozen=True):
    """The id and time, in microseconds since 1970, of an archive's first or last message."""

    id: str
    stamp: int


class ArchiveMetadata(msgspec.Struct, frozen=True):
    """Where an archive starts and ends (§5); neither in a request and for an empty archive."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]] = tuple((namespace, "metadata") for namespace in NAMESPACES)

    start: Landmark | None = None
    end: Landmark | None = None
    namespace: str = ns.MAM2

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return what is told; raise `bad-request` for one end without the other and for a broken one."""
        start, end = element.find("start"), element.find("end")
        if start is None and end is None:
            return cls(namespace=element.namespace)
        if start is None or end is None:
            raise StanzaError("bad-request", "an archive has start and end, or neither")
        return cls(_read_landmark(start), _read_landmark(end), element.namespace)

    def encode(self) -> Element:
        """Return `<metadata/>`."""
        element = Element("metadata", self.namespace)
        for name, landmark in (("start", self.start), ("end", self.end)):
            if landmark is not None:
                attributes = {"id": landmark.id, "timestamp": format_date_time(landmark.stamp)}
                element.append(Element(name, self.namespace, attributes))
        return element


class ArchiveBounds(msgspec.Struct, frozen=True):
    """A hint of our own beside `item-not-found`: which history the archive has now (docs/specs).

    `first` and `head` are the ids of its ends, None when it is empty. Whoever remembers another epoch, or an
    id before `first`, starts anew from there.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.TIDINGS_ARCHIVE, "bounds")

    epoch: str
    first: str | None = None
    head: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the bounds; raise `bad-request` without an epoch."""
        first, head = (read_optional_id(element.get(name), name) for name in ("first", "head"))
        return cls(read_id(element.get("epoch"), "epoch"), first, head)

    def encode(self) -> Element:
        """Return `<bounds/>`."""
        return Element(
            "bounds", ns.TIDINGS_ARCHIVE, present(epoch=self.epoch, first=self.first, head=self.head)
        )


def unknown_id_error(bounds: ArchiveBounds | None = None) -> StanzaError:
    """Return the answer to an id that the archive does not have, or has no more (§4.3.2)."""
    payload = b"" if bounds is None else bounds.encode().to_bytes(ns.CLIENT)
    return StanzaError("item-not-found", "Message with specified ID is not found", payload=payload)


def result_of(message: Stanza) -> ArchiveResult | None:
    """Return the result that a message brings, or None; raise `bad-request` for a broken one.

    Whoever asked checks that it comes from the archive asked and for the query asked (§8.2).
    """
    for namespace, name in ArchiveResult.TAGS:
        element = message.decode(namespace, name)
        if element is not None:
            return ArchiveResult.decode(element)
    return None


def _submission(element: Element, namespace: str) -> DataForm:
    """Return the form inside a query; none is as good as an empty one."""
    found = element.find("x", ns.DATA_FORMS)
    if found is None:
        return DataForm(FormKind.SUBMIT)
    form = DataForm.decode(found)
    if form.kind is not FormKind.SUBMIT:
        raise StanzaError("bad-request", "a query is a form of type submit")
    if form.get(FORM_TYPE) is not None and form.form_type != namespace:
        raise StanzaError("bad-request", f"the FORM_TYPE is not {namespace}")
    return form


def _check_names(form: DataForm, others: Collection[str]) -> None:
    names = [field.name for field in form.fields if field.name != FORM_TYPE]
    for name in names:
        if name not in _FIELDS and name not in others:
            raise StanzaError("feature-not-implemented", f"this archive has no field {name}")
    if len(set(names)) != len(names):
        raise StanzaError("bad-request", "a field is given twice")


def _value(form: DataForm, name: str) -> str:
    """Return the one value of a field, or nothing."""
    values = form.values(name)
    if len(values) > 1:
        raise StanzaError("bad-request", f"{name} takes one value")
    return values[0] if values else ""


def _read_choice(form: DataForm, name: str) -> bool | None:
    text = _value(form, name)
    return read_boolean(text, name) if text else None


def _read_ids(form: DataForm) -> tuple[str, ...]:
    """Return the ids, each once; to ask for none of them is nonsense, since all would be sent."""
    if form.get("ids") is None:
        return ()
    ids = tuple(dict.fromkeys(read_id(text, "ids") for text in form.values("ids")))
    if not 1 <= len(ids) <= IDS:
        raise StanzaError("bad-request", f"ids takes 1 to {IDS} ids")
    return ids


def _read_text(form: DataForm) -> str:
    texts = {text for name in TEXT_FIELDS if (text := _value(form, name).strip())}
    if len(texts) > 1:
        raise StanzaError("bad-request", "one text is searched at a time")
    text = "".join(texts)
    if len(text) > TEXT_CHARACTERS:
        raise StanzaError("bad-request", f"a search has {TEXT_CHARACTERS} characters at most")
    return text


def _read_landmark(element: Element) -> Landmark:
    return Landmark(
        read_id(element.get("id"), "id"), read_date_time(element.get("timestamp") or "", "timestamp")
    )
