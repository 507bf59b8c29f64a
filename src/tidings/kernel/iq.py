"""Iq: a request on its way to a handler, and what the handler answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from tidings.base.jid import Jid
from tidings.kernel.account import Account, account_of
from tidings.kernel.entity import Entity
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.stanza import Child, Stanza

P = TypeVar("P")


class Iq(Generic[P]):
    """An iq request on its way to a handler.

    `session` is the sender's where it is local. `entity` is the addressed one for Addressee.SELF and
    Addressee.ENTITY, else None.
    """

    __slots__ = ("entity", "payload", "session", "stanza")

    def __init__(self, stanza: Stanza, payload: P, session: Session | None, entity: Entity | None) -> None:
        self.stanza = stanza
        self.payload = payload
        self.session = session
        self.entity = entity

    @property
    def kind(self) -> str:
        """`get` or `set`."""
        return self.stanza.kind

    @property
    def sender(self) -> Jid:
        """The full JID that asks."""
        assert self.stanza.sender is not None  # the router has stamped it
        return self.stanza.sender

    @property
    def to(self) -> Jid:
        """The address that was asked; the own bare JID where the stanza named none."""
        return self.stanza.to if self.stanza.to is not None else self.sender.bare

    @property
    def own_session(self) -> Session:
        """The sender's session; only for handlers at Addressee.SELF, whose senders are local."""
        assert self.session is not None
        return self.session

    @property
    def own_account(self) -> Account:
        """The addressed account; only for handlers at Addressee.SELF and Addressee.ENTITY of accounts."""
        return account_of(self.entity)


Answer = Element | Child | None
"""The payload of an iq result; None makes an empty one. A long one may be written in parts, as a `Child`."""


class AnswerFirst(NamedTuple):
    """An answer, and what is done when it is on its way: others are told of what was asked for after that."""

    answer: Answer
    then: Callable[[], MaybeAwaitable]
