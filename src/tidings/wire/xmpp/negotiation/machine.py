"""The engine under both negotiations: a total table of state and input, and the actions that come out."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

import msgspec

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.wire.xmpp.negotiation.values import Action, CloseStream


class Go(msgspec.Struct, frozen=True):
    """Have a phase do it, `phase.verb`; that returns one of the states `to`."""

    verb: str
    to: tuple[Enum, ...]


class Refuse(msgspec.Struct, frozen=True):
    """The peer may not do that here: close the stream with this condition."""

    condition: str
    text: str = ""


class Ignore(msgspec.Struct, frozen=True):
    """Nothing happens: the news is too late to matter."""


class Misuse(msgspec.Struct, frozen=True):
    """The runner may not do that here: `LocalProtocolError`."""


Cell: TypeAlias = Go | Refuse | Ignore | Misuse
S = TypeVar("S", bound=Enum)
I = TypeVar("I", bound=Enum)  # noqa: E741
Table: TypeAlias = Mapping[S, Mapping[I, Cell]]


def row(defaults: Mapping[I, Cell], *others: Mapping[I, Cell], **named: Cell) -> dict[I, Cell]:
    """Lay transitions, named after their input, over the defaults of a state."""
    cells = dict(defaults)
    for more in others:
        cells |= more
    by_name = {kind.name.lower(): kind for kind in defaults}
    return cells | {by_name[name]: cell for name, cell in named.items()}


class Machine(Generic[S, I]):
    """Where a negotiation stands and what it wants done; the table says what may happen next.

    The phases of a negotiation share one and hand it their actions; what they do stands in them. The machine
    knows none of them, so that no circle keeps a finished negotiation alive.
    """

    __slots__ = ("_actions", "_closed", "_table", "_waiting", "state")

    def __init__(self, table: Table[S, I], start: S, closed: S, waiting: Sequence[S]) -> None:
        self.state = start
        self._table = table
        self._closed = closed
        self._waiting = waiting
        self._actions: list[Action] = []

    @property
    def closed(self) -> bool:
        """True after `CloseStream`: nothing more will come."""
        return self.state is self._closed

    @property
    def waiting(self) -> bool:
        """True while an answer is outstanding: feed nothing else from the peer before it is there."""
        return self.state in self._waiting

    def act(self, *actions: Action) -> None:
        """Want these done, after those before."""
        self._actions.extend(actions)

    def take(self) -> list[Action]:
        """Return the actions since the last call, in the order in which they are to be done."""
        actions, self._actions = self._actions, []
        return actions

    def close(self, error: StreamError | None) -> S:
        """Close the stream for this reason."""
        self.act(CloseStream(error))
        return self._closed

    def feed(
        self,
        kind: I,
        arguments: Sequence[object],
        phases: Mapping[str, object],
        close: Callable[[StreamError | None], S],
    ) -> None:
        """Look the input up in the table and have the phase that stands there do it.

        A phase may raise `StreamError`: `close` then ends the stream.
        """
        match self._table[self.state][kind]:
            case Go(verb, targets):
                phase, _, name = verb.partition(".")
                try:
                    state = getattr(phases[phase], name)(*arguments)
                except StreamError as error:
                    state = close(error)
                if state is not self._closed and state not in targets:
                    raise LocalProtocolError(f"{verb} leads from {self.state} to {state} beside the table")
                self.state = state
            case Refuse(condition, text):
                self.state = close(StreamError(condition, text))
            case Misuse():
                raise LocalProtocolError(f"{kind.name.lower()} means nothing while {self.state.name.lower()}")
            case Ignore():
                pass
