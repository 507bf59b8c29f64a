"""Word filter: messages with certain words are refused, or the words are blotted out.

Only the bodies of messages are looked at, and what is encrypted cannot be.
"""

from collections.abc import Awaitable
from typing import Annotated, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from tidings.api import (
    Addressee,
    Answer,
    DocumentStore,
    Element,
    Feature,
    Host,
    Iq,
    MessageSubmitted,
    Spec,
    Stanza,
    StanzaError,
    handles,
    listens,
)
from tidings_word_filter.counter import NAMESPACE, Counter
from tidings_word_filter.operations import count
from tidings_word_filter.words import BODY, blotted, pattern_of


class WordFilterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which words, and what happens to a message that has one of them."""

    words: Annotated[tuple[str, ...], Meta(description="Whole words, whatever their case.")] = ()
    action: Annotated[
        Literal["refuse", "rewrite"],
        Meta(description="Refuse the message, or put `replacement` in the place of each word."),
    ] = "refuse"
    replacement: Annotated[str, Meta(description="What stands in the place of a word.")] = "***"


class CountRequest(msgspec.Struct, frozen=True):
    """`<filtered/>`: how many of my messages were filtered?"""

    TAG: ClassVar[tuple[str, str]] = (NAMESPACE, "filtered")

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Read the request, which says nothing but its name."""
        del element
        return cls()


class WordFilter(Feature):
    """Looks for words in what is submitted, and counts what it finds."""

    spec = Spec("Word filter", version="0.1.0", advertises=(NAMESPACE,))
    Options = WordFilterOptions
    operations = (count,)

    def __init__(self, host: Host, documents: DocumentStore, options: WordFilterOptions) -> None:
        self._host = host
        self._counter = Counter(documents)
        self._options = options
        self._pattern = pattern_of(options.words)

    @listens(MessageSubmitted)
    def filter(self, event: MessageSubmitted) -> Awaitable[None] | None:
        """Let a message pass, rewrite it, or refuse it."""
        if self._pattern is None or not event.stanza.has(*BODY):
            return None
        rewritten = blotted(event.stanza, self._pattern, self._options.replacement)
        if rewritten is event.stanza:
            return None
        return self._take(event, rewritten)

    async def _take(self, event: MessageSubmitted, rewritten: Stanza) -> None:
        if event.sender.domain == self._host.domain and await self._host.kind.exists(event.sender):
            await self._counter.increase(event.sender)
        if self._options.action == "refuse":
            raise StanzaError("policy-violation", "your message has a word that is not used here")
        event.stanza = rewritten

    @handles(CountRequest, kind="get", at=Addressee.SELF)
    async def tell_count(self, request: Iq[CountRequest]) -> Answer:
        """Answer the owner of an account."""
        filtered = await self._counter.of(request.own_account.jid)
        return Element("filtered", NAMESPACE, {"count": str(filtered)})
