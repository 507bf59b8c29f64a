"""Feature: one capability of a virtual host, declared so that everything about it can be derived.

A feature is a class. Its handlers are methods with a mark: `@handles` for iq requests, `@handles_nonza` for
elements of a session that are no stanzas, `@listens` for hook events, `@loads` for account state. The loader
makes one instance a host and passes to the constructor what its annotations ask for.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.audience import Audience
from tidings.kernel.hooks import DECIDED_WITHIN, Event, OnFailure, Stage
from tidings.kernel.slots import Slot
from tidings.wire.xml.element import Element

Method = TypeVar("Method", bound=Callable[..., Any])


class Addressee(enum.Flag):
    """Whom an iq request is addressed to."""

    SERVER = enum.auto()
    """The domain itself."""
    SELF = enum.auto()
    """The sender's own account: no address, or its own bare JID."""
    ENTITY = enum.auto()
    """The bare JID of another entity of this host: an account, a room."""


class StreamStage(enum.Enum):
    """Which <stream:features/> a feature is asked for, or which part of them."""

    BEFORE_LOGIN = "before"
    AFTER_LOGIN = "after"
    INLINE = "inline"
    """What can be negotiated together with log-in (XEP-0388 §2.1), and between log-in and binding."""


class Payload(Protocol):
    """A class that reads the payload of a request; those of the server are in `wire/xmpp/payloads`."""

    TAG: ClassVar[tuple[str, str]]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Read it; raises StanzaError `bad-request` on nonsense."""
        ...


class VersionedPayload(Protocol):
    """A codec that reads one payload under several names, such as those of its document's versions."""

    TAGS: ClassVar[tuple[tuple[str, str], ...]]

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Read it; raises StanzaError `bad-request` on nonsense."""
        ...


class Spec(msgspec.Struct, frozen=True):
    """A document that a feature implements: feeds disco and the page of supported standards."""

    document: str
    version: str = ""
    advertises: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def xep(cls, number: int, version: str = "", advertises: Iterable[str] = (), note: str = "") -> Spec:
        """Name an XMPP extension."""
        return cls(f"XEP-{number:04d}", version, tuple(advertises), note)

    @classmethod
    def rfc(cls, number: int, advertises: Iterable[str] = (), note: str = "") -> Spec:
        """Name an RFC."""
        return cls(f"RFC {number}", "", tuple(advertises), note)


class HandlesMark(NamedTuple):
    """An iq handler's mark."""

    payload: type[Any]
    kind: str
    at: Addressee
    immediate: bool


class ListensMark(NamedTuple):
    """An event handler's mark."""

    event: type[Event]
    stage: Stage | None
    after: tuple[str, ...]
    first: bool
    within: float
    on_failure: OnFailure


class NonzaMark(NamedTuple):
    """A nonza handler's mark."""

    namespace: str
    name: str


class LoadsMark(NamedTuple):
    """An account loader's mark."""

    slot: Slot[Any]


class ReloadsMark(NamedTuple):
    """The mark of who brings account state up to date."""

    slot: Slot[Any]


class Feature:
    """A capability of one virtual host."""

    spec: ClassVar[Spec | tuple[Spec, ...]] = ()
    """The documents that it implements."""
    requires: ClassVar[tuple[type[Feature], ...]] = ()
    """Features that must be loaded, too, and are loaded before."""
    Options: ClassVar[type[msgspec.Struct] | None] = None
    """What can be set in its section of the configuration, `[features.<name>]`."""
    fixed_options: ClassVar[tuple[str, ...]] = ()
    """Those of its options from which it builds something when it is made or started: they need a restart.

    All others are taken over by a reload, where its constructor asks for `Current[Options]`. Where it asks
    for `Options` themselves, all of them need a restart.
    """
    inline: ClassVar[tuple[str, ...]] = ()
    """What Bind 2 may enable together with a session (XEP-0386 §3.1), by namespace; `SessionBound` tells."""
    operations: ClassVar[tuple[object, ...]] = ()
    """What it adds to the catalogue of operations, declared with `@operation`."""
    serves_archives: ClassVar[bool] = False
    """It is of no use without archives, and left out on hosts that keep none."""
    serves_passwords: ClassVar[bool] = False
    """It makes or changes accounts, and is left out on hosts whose accounts have no passwords of ours."""
    audiences: ClassVar[tuple[Audience, ...]] = ()
    """Which sessions what it sends to an account's devices is for."""
    option_name: ClassVar[str] = ""
    """The name of that section; by default that of the module."""

    @classmethod
    def specs(cls) -> tuple[Spec, ...]:
        """Give the documents as a tuple."""
        return cls.spec if isinstance(cls.spec, tuple) else (cls.spec,)

    @classmethod
    def name(cls) -> str:
        """Give the name that options, `after=` and logs use."""
        return cls.option_name or cls.__module__.rpartition(".")[2]

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Give what <stream:features/> offers on its behalf at this stage."""
        del stage
        return ()

    async def start(self) -> None:
        """Begin; called once before the doors open."""

    async def say_goodbye(self) -> None:
        """Say what clients have to know before their streams end; called once when the server begins to stop.

        It is given half of the time that the server has for its end, and is cut off then.
        """

    async def stop(self) -> None:
        """End; called once after the doors have closed."""


def _mark(value: object) -> Callable[[Method], Method]:
    def mark(method: Method) -> Method:
        marks: list[object] = method.__dict__.setdefault("tidings_marks", [])
        marks.append(value)
        return method

    return mark


def handles(
    payload: type[Payload | VersionedPayload],
    *,
    kind: str,
    at: Addressee = Addressee.SELF,
    immediate: bool = False,
) -> Callable[[Method], Method]:
    """Answer iq requests of this kind, `get` or `set`, that carry the payload and are addressed so.

    The method takes an `Iq` and gives the result's payload, None for an empty result, or an awaitable of
    either or of an `AnswerFirst`; it raises StanzaError to refuse. `immediate`: it touches no state, so it
    need not wait for the messages before it.
    """
    return _mark(HandlesMark(payload, kind, at, immediate))


def handles_nonza(namespace: str, name: str) -> Callable[[Method], Method]:
    """Take elements of an established session that are no stanzas: `method(session, element)`."""
    return _mark(NonzaMark(namespace, name))


def listens(
    event: type[Event],
    *,
    stage: Stage | None = None,
    after: str | tuple[str, ...] = (),
    first: bool = False,
    within: float = DECIDED_WITHIN,
    on_failure: OnFailure = OnFailure.REFUSE,
) -> Callable[[Method], Method]:
    """Run when the event happens on this host; what the method may do is said by the event's base class.

    `stage` is for work and facts, by default OBSERVE; `after` names features whose handlers of the same stage
    run before; `first`: before all others, in the turn of the event loop in which it happens. A decision
    waits `within` seconds for the method, and `on_failure` says what becomes of it when that fails.
    """
    names = (after,) if isinstance(after, str) else after
    return _mark(ListensMark(event, stage, names, first, within, on_failure))


def loads(
    slot: Slot[T_],
) -> Callable[[Callable[[Any, Jid], Awaitable[T_]]], Callable[[Any, Jid], Awaitable[T_]]]:
    """Fill this slot of an account when the account comes into memory: `async def method(account: Jid)`."""
    return _mark(LoadsMark(slot))


T_ = TypeVar("T_")


def reloads(slot: Slot[Any]) -> Callable[[Method], Method]:
    """Bring this slot up to date when another node has changed what is stored: `async def method(account)`.

    For values that live on, with locks and tasks; a slot without one is loaded again and replaced.
    """
    return _mark(ReloadsMark(slot))
