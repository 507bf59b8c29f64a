"""Host: one domain with its own entities, features, handlers and hooks; nothing crosses over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tidings.base.jid import Jid
from tidings.kernel.audience import AVAILABLE, Audience
from tidings.kernel.current import Current
from tidings.kernel.directory import Directory
from tidings.kernel.entity import EntityKind
from tidings.kernel.feature import Addressee, Feature, StreamStage
from tidings.kernel.hooks import Hooks
from tidings.wire.xml.element import Element

IqHandler = Callable[[Any], Any]
T = TypeVar("T")


class Host:
    """A domain that this server speaks for."""

    def __init__(
        self,
        domain: str,
        kind: EntityKind,
        directory: Directory[Any],
        hooks: Hooks,
        admins: Iterable[Jid] = (),
    ) -> None:
        self.jid = Jid(domain)
        self.domain = self.jid.domain
        self.kind = kind
        """What its entities are."""
        self.directory = directory
        """Its entities that are in memory."""
        self.hooks = hooks
        self._named = frozenset(admins)
        self._promoted: frozenset[Jid] = frozenset()
        self.options: dict[str, Current[Any]] = {}
        """The features' options by feature name; filled by the loader."""
        self.features: tuple[Feature, ...] = ()
        """Filled by the loader, in the order of their requirements."""
        self._looked_through: tuple[Feature, ...] = ()
        self._found: dict[type, Feature | None] = {}
        self.iq_handlers: dict[tuple[str, tuple[str, str], Addressee], tuple[type[Any], IqHandler]] = {}
        """By kind, payload tag and addressee."""
        self.unhandled = "service-unavailable"
        """The condition by which a request is refused that nobody handles (RFC 6121 §8.5)."""
        self.immediate: set[tuple[tuple[str, str], Addressee]] = set()
        """What need not wait for the messages before it: payload tag and addressee of iqs of type get."""
        self.takes_logins = True
        """Whether people can log in here now; they cannot where a domain is disabled, or is a service."""
        self.audiences: dict[str, Audience] = {AVAILABLE.name: AVAILABLE}
        """By name; the features' own are added by the loader."""
        self.has_archives = False
        """Whether what its entities send and get is kept in archives."""
        self.archive_octets = 0
        """How many octets the archive of one account may have, as its feature says; 0 is any number."""
        self.nonza_handlers: dict[tuple[str, str], Callable[[Any, Element], Any]] = {}
        """By namespace and name; each gets the session and the element."""

    @property
    def admins(self) -> frozenset[Jid]:
        """The bare JIDs that may administer this domain: those that are named for it, and the promoted.

        Setting it replaces those that are named.
        """
        return self._named | self._promoted if self._promoted else self._named

    @admins.setter
    def admins(self, named: Iterable[Jid]) -> None:
        self._named = frozenset(named)

    def promote(self, promoted: Iterable[Jid]) -> None:
        """Let these administer the domain beside those that are named, and no other promoted ones."""
        self._promoted = frozenset(promoted)

    def audience(self, name: str) -> Audience:
        """Give an audience by name, or the part of one that a topic is for."""
        found = self.audiences.get(name)
        if found is not None:
            return found
        whole, _, topic = name.partition(" ")
        return self.audiences[whole].about(topic)

    def feature(self, wanted: type[T]) -> T | None:
        """Give the loaded feature that is of this type, or that satisfies this runtime-checkable Protocol."""
        if self._looked_through is not self.features:
            self._looked_through, self._found = self.features, {}
        if wanted not in self._found:  # to compare all of them with a Protocol takes a fifth of a millisecond
            found = (feature for feature in self.features if isinstance(feature, wanted))
            self._found[wanted] = next(found, None)
        return self._found[wanted]  # type: ignore[return-value]  # it is of this type

    def stream_features(self, stage: StreamStage) -> list[Element]:
        """Gather what the features offer in <stream:features/>."""
        return [element for feature in self.features for element in feature.stream_features(stage)]

    def __repr__(self) -> str:
        return f"Host({self.domain!r})"
