"""The engine under both negotiations: a total table of state and input, and the actions that come out."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

import msgspec

from tidings.base.errors import LocalProtocolError, StreamError
from tidings.wire.xmpp.negotiation.values import Action, CloseStream


class Go(msgspec.Struct, frozen=True):
    """Do what the method says; it returns one of the states `to`."""

    method: str
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
    """Runs a table; subclasses have the methods that it names."""

    def __init__(self, table: Table[S, I], start: S, closed: S, waiting: Sequence[S]) -> None:
        self._table = table
        self._state = start
        self._closed_state = closed
        self._waiting_states = frozenset(waiting)
        self._actions: list[Action] = []

    @property
    def state(self) -> S:
        """Where the negotiation stands."""
        return self._state

    @property
    def closed(self) -> bool:
        """True after `CloseStream`: nothing more will come."""
        return self._state is self._closed_state

    @property
    def waiting(self) -> bool:
        """True while an answer is outstanding: feed nothing else from the peer before it is there."""
        return self._state in self._waiting_states

    def take(self) -> list[Action]:
        """Return the actions since the last call, in the order in which they are to be done."""
        actions, self._actions = self._actions, []
        return actions

    def _feed(self, kind: I, *arguments: object) -> None:
        """Look the input up in the table and do what stands there."""
        match self._table[self._state][kind]:
            case Go(method, targets):
                try:
                    state = getattr(self, method)(*arguments)
                except StreamError as error:
                    state = self._close(error)
                if state is not self._closed_state and state not in targets:
                    raise LocalProtocolError(f"{method} leads from {self._state} to {state} beside the table")
                self._state = state
            case Refuse(condition, text):
                self._state = self._close(StreamError(condition, text))
            case Misuse():
                raise LocalProtocolError(
                    f"{kind.name.lower()} means nothing while {self._state.name.lower()}"
                )
            case Ignore():
                pass

    def _act(self, *actions: Action) -> None:
        self._actions.extend(actions)

    def _close(self, error: StreamError | None) -> S:
        """Close the stream for this reason."""
        self._act(CloseStream(error))
        return self._closed_state
