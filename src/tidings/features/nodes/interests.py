"""Interests: which nodes the client of a session wants to hear news of, as its capabilities say.

Implements the asking side of XEP-0115 1.6.0 (§6.2, §5.4) and XEP-0390 0.3.2 (§4.3) for what XEP-0060 §9.2
filters by: features that are the name of a node and `+notify`. The marks § point at XEP-0115.

A client is asked only where nobody has proved yet what its hash stands for, and then one of all that announce
it. Whose answer does not have the hash is believed about itself alone, and the next one is asked. Who does
not answer for a while holds up nobody: then all that wait are asked.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Final

import structlog

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.kernel.audience import Audience
from tidings.kernel.clock import Clock
from tidings.kernel.events import NewsWanted, PresenceSent, RequestAnswered, SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.hooks import Stage
from tidings.kernel.host import Host
from tidings.kernel.known_capabilities import Claim, KnownCapabilities
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.payloads.caps import (
    ALGORITHMS,
    Capabilities,
    CapabilityHash,
    CapabilityHashSet,
    is_well_formed,
    matches,
    verification_string,
)
from tidings.wire.xmpp.payloads.disco import Info
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.nodes")

NOTIFY: Final = "+notify"
MOST_NODES: Final = 200
"""So many nodes of a client count; the rest of what it announces is passed over."""
_LONGEST_NODE: Final = 1_024
_PATIENCE: Final = 10.0
"""So many seconds others wait for one who was asked about the hash that they announce, too."""
_PREFERRED: Final = ("sha3-512", "sha3-256", "sha-512", "sha-256", "sha-1")


@dataclass(slots=True)
class Question:
    """What a session was asked, or is to be asked."""

    claim: Claim
    node: str
    """The node of its disco#info that stands for the claim."""
    id: str = ""
    """That of the request; empty while another one is asked."""


@dataclass(slots=True)
class State:
    """What is known of the client of a session."""

    claim: Claim | None = None
    """What it announces now."""
    nodes: frozenset[str] = frozenset()
    question: Question | None = None
    is_told: set[str] = field(default_factory=set)
    """The nodes of which it was told that their news are wanted, since it became available."""


INTERESTS: Final[Slot[State]] = Slot("nodes.interests", factory=State)


def _is_interested(session: Session, topic: str) -> bool:
    return session.priority is not None and topic in session[INTERESTS].nodes


INTERESTED: Final = Audience(
    "nodes.interested", lambda session: bool(session[INTERESTS].nodes), wants_topic=_is_interested
)
"""The available sessions that want to hear news; of one node, `about` its name."""


class Interests(Feature):
    """Finds out what clients want to hear of."""

    audiences = (INTERESTED,)

    def __init__(self, host: Host, known: KnownCapabilities, clock: Clock) -> None:
        self._host = host
        self._known = known
        self._clock = clock
        self._waiting: dict[Claim, list[Session]] = {}
        """The sessions that announce a hash that nobody has proved, the one that is asked first."""

    @listens(PresenceSent, stage=Stage.OBSERVE)  # §6.1
    def on_presence(self, event: PresenceSent) -> MaybeAwaitable:
        """Look what a client announces to all, and forget it when it goes."""
        session, stanza = event.session, event.stanza
        if stanza.to is not None or stanza.kind not in {"", "unavailable"}:
            return None
        state = session[INTERESTS]
        if stanza.kind == "unavailable":
            self._forget(session)
            state.claim, state.nodes = None, frozenset()
            state.is_told.clear()
            return None
        claimed = _claim_of(stanza)
        if claimed is None or claimed[0] == state.claim:
            return None
        self._forget(session)
        state.claim, node = claimed
        found = self._known.get(state.claim)
        if found is not None:
            return self._learn(session, found)
        state.question = Question(state.claim, node)
        waiting = self._waiting.setdefault(state.claim, [])
        waiting.append(session)
        if len(waiting) == 1 or not state.claim.algorithm:
            self._ask(session, state.question)
        return None

    @listens(RequestAnswered)  # §6.2
    def on_answer(self, event: RequestAnswered) -> MaybeAwaitable:
        """Believe an answer that has the hash, for all that announce it; another one for its sender alone."""
        session, stanza = event.session, event.stanza
        question = session[INTERESTS].question
        if question is None or not question.id or stanza.id != question.id:
            return None
        info = _info_of(stanza)
        if info is None:
            self._forget(session)
            return None
        nodes = _nodes_of(info)
        if not _proves(info, question.claim):
            log.debug("capabilities_unproved", session=str(session.jid), hash=question.claim.value)
            self._forget(session)
            return self._learn(session, nodes)
        self._known.put(question.claim, nodes)
        return in_turn(
            self._learn(each, nodes)
            for each in self._waiting.pop(question.claim, [])
            if not each.ended and each[INTERESTS].claim == question.claim
        )

    @listens(SessionEnded)
    def on_ended(self, event: SessionEnded) -> None:
        """Ask another one in the place of one that has gone."""
        self._forget(event.session)

    def _learn(self, session: Session, nodes: frozenset[str]) -> MaybeAwaitable:
        state = session[INTERESTS]
        state.question = None
        state.nodes = nodes
        news = nodes - state.is_told
        state.is_told |= news
        return self._host.hooks.tell(NewsWanted(session, news)) if news else None

    def _ask(self, session: Session, question: Question) -> None:
        question.id = f"caps-{token(9)}"
        self._clock.call_later(_PATIENCE, lambda: self._ask_all(question))
        content = (Info(question.node).encode(),)
        session.send(
            Stanza.build(
                "iq", kind="get", to=session.jid, sender=session.host.jid, id=question.id, content=content
            )
        )

    def _ask_all(self, unanswered: Question) -> None:
        """Ask all who wait for the answer of one that has not come."""
        waiting = self._waiting.get(unanswered.claim, [])
        if not any(each[INTERESTS].question is unanswered for each in waiting):
            return
        for session in list(waiting):
            question = session[INTERESTS].question
            if question is not None and not question.id:
                self._ask(session, question)

    def _forget(self, session: Session) -> None:
        """Wait no more for an answer of this session, and let the next one be asked in its place."""
        state = session[INTERESTS]
        question, state.question = state.question, None
        if question is None:
            return
        waiting = self._waiting.get(question.claim, [])
        if session in waiting:
            waiting.remove(session)
        if not waiting:
            self._waiting.pop(question.claim, None)
            return
        following = waiting[0][INTERESTS].question
        if following is not None and not following.id:
            self._ask(waiting[0], following)


def _claim_of(presence: Stanza) -> tuple[Claim, str] | None:
    """Give what a presence announces, and the node to ask for it; by XEP-0390 rather than by XEP-0115."""
    for read, tag in ((_claim_of_hashes, CapabilityHashSet.TAG), (_claim_of_caps, Capabilities.TAG)):
        element = presence.decode(*tag)
        if element is not None:
            with contextlib.suppress(StanzaError):
                found = read(element)
                if found is not None:
                    return found
    return None


def _claim_of_hashes(element: Element) -> tuple[Claim, str] | None:
    hashes = {each.algorithm: each for each in CapabilityHashSet.decode(element).hashes}
    best = next((hashes[each] for each in _PREFERRED if each in hashes), None)
    return None if best is None else (Claim("XEP-0390", best.algorithm, best.value), best.query_node)


def _claim_of_caps(element: Element) -> tuple[Claim, str] | None:
    caps = Capabilities.decode(element)
    # Where the hash function is not known here nobody can prove anything: an answer is believed about its
    # sender alone (§5.4, §8.1).
    algorithm = caps.algorithm if caps.algorithm in ALGORITHMS else ""
    return Claim("XEP-0115", algorithm, caps.version), caps.query_node


def _info_of(answer: Stanza) -> Info | None:
    if answer.kind != "result" or answer.payload_tag != Info.TAG:
        return None
    try:
        element = answer.payload()
        return None if element is None else Info.decode(element)
    except StanzaError:
        return None


def _proves(info: Info, claim: Claim) -> bool:
    """Tell whether an answer has the hash that was announced (§5.4, XEP-0390 §4.1)."""
    if claim.algorithm not in ALGORITHMS:
        return False
    if claim.document == "XEP-0390":
        return matches(info, CapabilityHash(claim.algorithm, claim.value))
    return is_well_formed(info) and verification_string(info, claim.algorithm) == claim.value


def _nodes_of(info: Info) -> frozenset[str]:
    """Give the nodes that an answer names for their news (XEP-0060 §9.2)."""
    names = (each.removesuffix(NOTIFY) for each in info.features if each.endswith(NOTIFY))
    return frozenset([each for each in names if 0 < len(each.encode()) <= _LONGEST_NODE][:MOST_NODES])
