"""The story of a message: what is remembered of it and what the ledger says, in the order of its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from tidings.base.clock import SECOND
from tidings.base.jid import Jid
from tidings.features.client_state import HELD_BACK
from tidings.features.devices import RESOURCE
from tidings.features.devices.progress import PROGRESS, is_meant_for
from tidings.kernel.reasons import Reason
from tidings.kernel.session import Session
from tidings.kernel.traces import Trace, Traces
from tidings.messages import delivery
from tidings.operations.context import Context
from tidings.operations.values import Address, Moment, exact_moment_of
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Direction, EntryKind, Place
from tidings.ports.ledger.outbox import OutboxId
from tidings.ports.ledger.reading import Archived, Device, EntryId, NoSuchEntry, PageQuery
from tidings.wire.xmpp.payloads.arrival import kept

_MOST_WAITING: Final = 2_000
"""So many rows of a domain's outbox are looked at."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a message, or did not, and why."""

    time: Moment | None
    """Null where it is not known."""
    step: Annotated[str, Meta(description="What happened, in a word that stays the same.")]
    text: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message.

    `source` is `memory` where the message is among those that came last to this node, else `ledger`.
    `unknown` is what cannot be told any more, or not to the caller.
    """

    trace: str | None
    sender: Address | None
    recipient: Address | None
    stanza_id: str | None
    source: Literal["memory", "ledger"]
    steps: tuple[Step, ...]
    unknown: tuple[str, ...]


class _Story:
    """Gathers steps, those alone which the caller may know."""

    def __init__(self, context: Context, traces: Traces | None) -> None:
        self.context = context
        self.traces = traces
        self.steps: list[Step] = []
        self.unknown: dict[str, None] = {}
        """In the order in which they were found; each is said once."""

    def may_know(self, whose: Jid) -> bool:
        """Tell whether the caller may know of an account's archive and devices; notes it where he may not."""
        if self.context.may_act_for(whose):
            return True
        self.unknown[f"what became of it on {whose.domain} is for those to know who administer that"] = None
        return False

    def is_here(self, jid: Jid) -> bool:
        """Tell whether an address is served here."""
        return jid.domain in self.context.domains

    def tell_once(self, step: str, text: str, time: float) -> None:
        """Add a step that two archives may tell of."""
        if all((one.step, one.text) != (step, text) for one in self.steps):
            self.tell(step, text, time)

    def tell(self, step: str, text: str, time: float = 0.0) -> None:
        """Add a step; its time is in seconds, 0 where it is not known."""
        moment = exact_moment_of(round(time * SECOND)) if time else None
        self.steps.append(Step(time=moment, step=step, text=text))


def name_of(trace: Trace) -> str:
    """Name a message among others that have the same id."""
    place = f" ({trace.places[-1].id} of {trace.places[-1].archive})" if trace.places else ""
    return f"from {trace.sender.bare} to {trace.recipient}{place}"


def entry_query(entry: EntryId) -> PageQuery:
    """Ask for one entry, whatever has become of it."""
    return PageQuery(ids=(entry,), offline_only=True, tombstones=True, counted=False, folded=True)


async def of_traces(context: Context, traces: Traces, found: list[Trace], errors: list[Trace]) -> Explanation:
    """Tell what is remembered of a message, of its repeats and of the errors that answer it.

    The ledger adds what it knows of it.
    """
    story = _Story(context, traces)
    for trace in found:
        _tell_submission(story, trace)
    first = found[0]
    for error in errors:
        if context.may_act_for(error.recipient):
            story.tell("error", f"{error.sender} has answered {error.to} with an error", error.time)
    await _tell_ledger(story, first)
    return Explanation(
        trace=next((trace.id for trace in found if trace.id), None),
        sender=first.sender,
        recipient=first.to or first.recipient,
        stanza_id=first.stanza_id,
        source="memory",
        steps=tuple(story.steps),
        unknown=tuple(story.unknown),
    )


async def of_entry(context: Context, traces: Traces | None, owner: Jid, entry: Archived) -> Explanation:
    """Tell what the ledger knows of a message that is not remembered any more."""
    story = _Story(context, traces)
    ledger = context.stores.ledger
    assert ledger is not None  # where the entry is from
    stanza = None if entry.body is None else kept(entry.body)
    is_sent = entry.direction is Direction.SENT
    way = "sent to" if is_sent else "got from"
    story.tell("accepted", f"{owner} has {way} {entry.peer} what was accepted then", entry.time / SECOND)
    places = [(owner, entry)]
    if story.is_here(entry.peer) and entry.peer != owner and story.may_know(entry.peer):
        other = await _other_side(ledger, owner, entry)
        if other is None:
            story.unknown[f"whether the archive of {entry.peer} had it: it has no entry of it now"] = None
        else:
            places.insert(0 if other.direction is Direction.SENT else 1, (entry.peer, other))
    for archive, found in places:
        _tell_entry(story, archive, found)
    if is_sent and not story.is_here(entry.peer):
        place = Place(owner.text, entry.id.epoch, entry.id.position)
        await _tell_outbox(story, ledger, entry.peer.domain, place)
    for archive, found in places:
        async for text in _devices(story, ledger, archive, found):
            story.tell("device", text)
    story.unknown["by which way it came, which sessions were sent it and which copies were made"] = None
    return Explanation(
        trace=None,
        sender=(owner if is_sent else entry.peer) if stanza is None else stanza.sender,
        recipient=(entry.peer if is_sent else owner) if stanza is None else stanza.to,
        stanza_id=None if stanza is None else stanza.id,
        source="ledger",
        steps=tuple(story.steps),
        unknown=tuple(story.unknown),
    )


# --- what is remembered


def _tell_submission(story: _Story, trace: Trace) -> None:
    """Tell how a message came, what was decided, and to whom it was sent."""
    time = trace.time
    told = trace.to or trace.recipient
    is_repeat = trace.accepted is not None and trace.accepted.repeated
    when = 0.0 if is_repeat else time
    story.tell("submitted", f"{trace.sender} sent it to {told}, type {trace.kind}, {_WAYS[trace.via]}", when)
    for note in trace.notes or ():
        if note.what == "rewritten":
            story.tell("rewritten", f"{note.reason}: {note.who}")
        elif note.what == "stale":
            story.tell("asked again", note.reason)
    refused = [*trace.noted("refused"), *trace.noted("dropped")]
    for note in refused:
        by = f"; by: {note.who}" if note.who and story.may_know(trace.recipient) else ""
        story.tell(note.what, f"{note.reason}{by}", time)
    if refused:
        return
    if is_repeat:
        story.tell("repeated", Reason.REPEATED)
        return
    if trace.accepted is None:
        story.tell("not stored", f"{trace.reason}; {trace.rule}", time)
    else:
        story.tell("accepted", f"{trace.reason}; {trace.rule}", time)
    if story.is_here(trace.recipient) and story.may_know(trace.recipient):
        for step, text in _sent(story, trace):
            story.tell(step, text)
    for note in (*trace.noted("copied"), *trace.noted("not_copied")):
        if story.may_know(Jid(note.who).bare):
            made = "got a copy" if note.what == "copied" else "got no copy"
            story.tell(note.what.replace("_", " "), f"{note.who} {made}: {note.reason}")


_WAYS: Final = {
    "session": "by a session",
    "operation": "by an operation",
    "server": "from another server or a component",
    "self": "from this server itself",
}


def _sent(story: _Story, trace: Trace) -> Iterator[tuple[str, str]]:
    """Tell which sessions were sent it, and why none was, or not that one."""
    if trace.sent_to is None:
        story.unknown[f"whom {trace.recipient} has passed it to: only for accounts that is remembered"] = None
        return
    rule = delivery.rule_of(trace.kind, trace.to, trace.sent_to)
    handed_over = trace.noted("handed_over")
    for note in handed_over:
        yield "handed over", f"to the node {note.who}: {note.reason}"
    if not trace.sent_to and not handed_over:
        yield "not sent", f"to no session: {rule}"
    passed_over = {note.who: note.reason for note in trace.noted("not_sent")}
    for jid in trace.sent_to:
        if jid.text in passed_over:
            yield "not sent", f"not to {jid}: {passed_over[jid.text]}"
        elif _is_held_back(story, jid, trace):
            yield "held back", f"for {jid}: {Reason.HELD_BACK}"
        else:
            yield "sent", f"to {jid}: {rule}"


def _is_held_back(story: _Story, jid: Jid, trace: Trace) -> bool:
    held = [session[HELD_BACK] for session in story.context.sessions_of(jid)]
    return any(each is not None and each.holds(trace.stanza_id, trace.sender) for each in held)


# --- what the ledger says


async def _tell_ledger(story: _Story, trace: Trace) -> None:
    """Tell where a remembered message stands, and what devices and other servers have of it."""
    ledger = story.context.stores.ledger
    if ledger is None or trace.accepted is None:
        return
    found: list[tuple[Jid, Archived]] = []
    for place in trace.accepted.places:
        owner = Jid(place.archive)
        if not story.may_know(owner):
            continue
        entry = await _entry_at(ledger, place)
        if entry is None:
            story.tell("forgotten", f"{owner} had it at {place.id}, which has been trimmed or removed since")
        else:
            _tell_entry(story, owner, entry)
            found.append((owner, entry))
    for outgoing in trace.outbox:
        await _tell_outbox(story, ledger, outgoing.domain, next(iter(trace.places), None))
    for owner, entry in found:
        async for text in _devices(story, ledger, owner, entry):
            story.tell("device", text)


def _tell_entry(story: _Story, owner: Jid, entry: Archived) -> None:
    """Tell where an archive has the message, and what became of it there."""
    way = "sent" if entry.direction is Direction.SENT else "received"
    story.tell("kept", f"{owner} has it as {way}, at position {entry.id.position}, id {entry.id}")
    if entry.retracted is not None:
        story.tell("retracted", f"for {owner}", entry.retracted / SECOND)
    elif entry.body is None:
        story.tell("erased", f"{owner} has no content of it any more")
    for pointer in entry.pointers:
        if pointer.kind in _LATER:
            story.tell_once(*_LATER[pointer.kind], pointer.time / SECOND)


_LATER: Final = {
    EntryKind.CORRECTION: ("corrected", "a later message puts another text in its place (XEP-0308)"),
    EntryKind.RECEIPT: ("receipt", "the recipient's client has confirmed it (XEP-0184)"),
    EntryKind.RECEIVED: ("receipt", "the recipient's client has confirmed it (XEP-0333)"),
    EntryKind.DISPLAYED: ("read", "the recipient's client has shown it (XEP-0333)"),
    EntryKind.ACKNOWLEDGED: ("read", "the recipient has acknowledged it (XEP-0333)"),
    EntryKind.FAILED: ("given back", "it could not arrive: all devices of its sender are told"),
}
"""What entries say that point at the message."""


async def _entry_at(ledger: Ledger, place: Place) -> Archived | None:
    try:
        page = await ledger.page(Jid(place.archive), entry_query(EntryId(place.epoch, place.position)))
    except NoSuchEntry:
        return None
    return page.entries[0]


async def _other_side(ledger: Ledger, owner: Jid, entry: Archived) -> Archived | None:
    """Find the entry that the other party's archive got with this one: the same message, the other way."""
    query = PageQuery(
        peer=owner, start=entry.time, end=entry.time, offline_only=True, tombstones=True, counted=False
    )
    for found in (await ledger.page(entry.peer, query)).entries:
        if found.feed == entry.feed and found.direction is not entry.direction and found.body == entry.body:
            return found
    return None


async def _tell_outbox(story: _Story, ledger: Ledger, domain: str, place: Place | None) -> None:
    """Tell whether another server has the message, or where it waits."""
    if place is None:
        story.unknown[f"whether {domain} has it: no archive here has an entry by which to find it"] = None
        return
    left = [] if story.traces is None else story.traces.departures(place, domain)
    for departure in left:
        if departure.refusal:
            text = f"{domain}: {Reason.GIVEN_BACK} ({departure.refusal})"
            story.tell("given back", text, departure.time)
        else:
            story.tell("sent on", f"{domain}: {Reason.SENT_ON}", departure.time)
    if left or any(one.step == "given back" for one in story.steps):
        return
    after: OutboxId | None = None
    for _ in range(_MOST_WAITING // 100):
        rows = await ledger.outbox.rows(domain, after)
        if any(place in row.places for row in rows):
            story.tell("outbox", f"it waits for {domain}, which could not be reached yet")
            return
        if not rows:
            break
        after = rows[-1].id
    text = f"whether {domain} has it or it was given back: it does not wait any more, and nobody remembers"
    story.unknown[text] = None


async def _devices(story: _Story, ledger: Ledger, owner: Jid, entry: Archived) -> AsyncIterator[str]:
    """Tell of each device of an account whether it has an entry that was received."""
    if entry.direction is Direction.SENT or entry.kind is EntryKind.MEMBERSHIP:
        return
    position = entry.id.position
    known = dict(await ledger.devices(owner))
    live: dict[str, Session] = {}
    for bound in story.context.sessions_of(owner):
        progress = bound[PROGRESS]
        live[progress.device] = bound
        before = known.get(progress.device, Device(0, 0, pulls=False))
        cursor = max(before.position, progress.cursor)
        known[progress.device] = Device(cursor, before.seen, pulls=before.pulls or progress.pulls)
    for name, device in sorted(known.items()):
        shown = name.removeprefix(RESOURCE) or "of clients that chose no resource"
        told = f"{owner}, device {shown}"
        session = live.get(name)
        resource = session.jid.resource if session is not None else name.removeprefix(RESOURCE)
        is_for_it = is_meant_for(entry, resource) or not (session is not None or name.startswith(RESOURCE))
        if not is_for_it:
            yield f"{told}: it is for another resource"
        elif device.position >= position:
            verb = "has fetched" if device.pulls else "has acknowledged"
            yield f"{told}: {verb} everything up to position {device.position}"
        elif session is not None and session[PROGRESS].upto >= position:
            yield f"{told}: was sent it and has not acknowledged it yet"
        elif session is not None and session.is_catching_up:
            yield f"{told}: is reading what it missed, and has come to position {session[PROGRESS].upto}"
        elif device.pulls:
            yield f"{told}: fetches what it missed by itself, and has come to position {device.position}"
        else:
            yield f"{told}: has come to position {device.position}, and gets it when it is there again"
