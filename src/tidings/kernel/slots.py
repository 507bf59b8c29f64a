"""Typed slots: state that a feature owns and that a session or an account carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, overload

T = TypeVar("T")

_UNWRITTEN: Final[Any] = object()


class Slot(Generic[T]):
    """A name and a type for one piece of state; the feature that made it is its only writer.

    A slot that nobody has written reads as its default, or as what its factory makes, which is then kept.
    """

    __slots__ = ("default", "factory", "is_guarded", "name")

    @overload
    def __init__(self, name: str, *, default: T, is_guarded: bool = False) -> None: ...
    @overload
    def __init__(self, name: str, *, factory: Callable[[], T]) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        default: Any = None,
        factory: Callable[[], T] | None = None,
        is_guarded: bool = False,
    ) -> None:
        self.name = name
        self.is_guarded = is_guarded
        """Whether guards read it, so that it is read anew when the archive has another version."""
        self.default = default
        self.factory = factory

    def __repr__(self) -> str:
        return f"Slot({self.name!r})"


class Slotted:
    """Something that carries slots: `thing[SLOT]`, `thing[SLOT] = value`, `del thing[SLOT]`."""

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots: dict[Slot[Any], Any] = {}

    def __getitem__(self, slot: Slot[T]) -> T:
        value: T = self._slots.get(slot, _UNWRITTEN)
        if value is _UNWRITTEN:
            if slot.factory is None:
                value = slot.default
            else:
                value = self._slots[slot] = slot.factory()
        return value

    def __setitem__(self, slot: Slot[T], value: T) -> None:
        self._slots[slot] = value

    def __delitem__(self, slot: Slot[T]) -> None:
        self._slots.pop(slot, None)
