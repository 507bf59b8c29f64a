"""Result Set Management: which page of a long answer is asked for, and which page it is (XEP-0059 1.0).

Limits: an id of 4,096 octets (an inbox encodes an address in it), numbers of 32 bits.
"""

from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.numbers import read_unsigned
from tidings.wire.xmpp.payloads.strict import octets, read_id

PAGE_ID_OCTETS: Final = 4_096


class PageRequest(msgspec.Struct, frozen=True):
    """The page that is asked for.

    `maximum` 0 asks for the count alone (§2.7). `after` and `before` are the id beside the page; an empty
    `before` asks for the last page (§2.5), an empty `after` for the first (§2.2). Both together are not
    defined by the document: whoever serves them says what they mean. `index` is the number of the first item
    (§2.6).
    """

    TAG: ClassVar[tuple[str, str]] = (ns.RSM, "set")

    maximum: int | None = None
    after: str | None = None
    before: str | None = None
    index: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the request; raise `bad-request` for what is no number or too long to be an id.

        COMPAT(MongooseIM clients, for good): `<limit/>` stands for `<max/>`.
        """
        maximum = element.text_of("max")
        if maximum is None:
            maximum = element.text_of("limit")
        index = element.text_of("index")
        return cls(
            None if maximum is None else read_unsigned(maximum, "max"),
            _read_page_id(element, "after"),
            _read_page_id(element, "before"),
            None if index is None else read_unsigned(index, "index"),
        )

    @classmethod
    def within(cls, parent: Element) -> Self:
        """Return the request that a query holds; without one it asks for the first page of any size."""
        element = parent.find("set", ns.RSM)
        return cls() if element is None else cls.decode(element)

    def encode(self) -> Element:
        """Return `<set/>`."""
        element = Element("set", ns.RSM)
        numbers = {"max": self.maximum, "index": self.index}
        texts = {name: None if number is None else str(number) for name, number in numbers.items()}
        for name, text in {**texts, "after": self.after, "before": self.before}.items():
            if text is not None:
                element.append(_texted(name, text))
        return element

    @property
    def is_backward(self) -> bool:
        """Tell whether the page is the one nearest to the end of the selection (§2.3, §2.5)."""
        return self.before is not None

    def size(self, *, default: int, limit: int) -> int:
        """Return how many items the page may have: never more than `limit`."""
        return min(default if self.maximum is None else self.maximum, limit)


class Page(msgspec.Struct, frozen=True):
    """The page that is answered with: the ids of its ends, and where it stands in the whole.

    A page without items has neither `first` nor `last` (§2.2). `index` and `count` are None where counting
    would cost too much.
    """

    TAG: ClassVar[tuple[str, str]] = (ns.RSM, "set")

    first: str | None = None
    last: str | None = None
    index: int | None = None
    count: int | None = None

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the page; raise `bad-request` for one end without the other and for what is no number."""
        first, count = element.find("first"), element.text_of("count")
        last = element.text_of("last")
        if (first is None) != (last is None):
            raise StanzaError("bad-request", "a page has first and last, or neither")
        index = None if first is None else first.get("index")
        return cls(
            None if first is None else read_id(first.text, "first", maximum=PAGE_ID_OCTETS),
            None if last is None else read_id(last, "last", maximum=PAGE_ID_OCTETS),
            None if index is None else read_unsigned(index, "index"),
            None if count is None else read_unsigned(count, "count"),
        )

    @classmethod
    def within(cls, parent: Element) -> Self:
        """Return the page that an answer holds; without one nothing is said."""
        element = parent.find("set", ns.RSM)
        return cls() if element is None else cls.decode(element)

    def encode(self) -> Element:
        """Return `<set/>`; the index is written with the first item only."""
        element = Element("set", ns.RSM)
        if self.first is not None and self.last is not None:
            index = {} if self.index is None else {"index": str(self.index)}
            element.append(Element("first", ns.RSM, index, self.first))
            element.append(_texted("last", self.last))
        if self.count is not None:
            element.append(_texted("count", str(self.count)))
        return element


def _read_page_id(element: Element, name: str) -> str | None:
    text = element.text_of(name)
    if text is not None and octets(text) > PAGE_ID_OCTETS:
        raise StanzaError("bad-request", f"{name} is longer than {PAGE_ID_OCTETS} octets")
    return text


def _texted(name: str, text: str) -> Element:
    return Element(name, ns.RSM, None, *filter(None, [text]))
