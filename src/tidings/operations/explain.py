"""Operations that explain: what became of a message, step by step, and why.

What is remembered of the messages that came last is asked first, then the ledger, which knows less of them
and of older ones. An administrator is told what happened on the domains that he administers.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.traces import Trace, Traces
from tidings.operations import message_story
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.message_story import Explanation
from tidings.operations.values import AccountAddress
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import message_key
from tidings.ports.ledger.reading import Archived, EntryId, NoSuchEntry, PageQuery
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.stanza_ids import origin_id_of

LOOKED_AT: Final = 500
"""So many of the newest entries of an archive are looked at for an id that a client has given."""

_MOST_NAMED: Final = 5


class ExplainMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Which message."""

    id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=256,
            description="Its trace id of the log, its archive id, its origin-id, or the id of the stanza.",
            extra={"positional": True},
        ),
    ]
    user: Annotated[
        AccountAddress | None,
        Meta(
            description="The account that sent or got it; needed for messages that are no longer remembered, "
            "and where several have the id."
        ),
    ] = None


@operation(
    "explain",
    "message",
    roles=ADMINISTRATORS,
    subjects=("user",),
    without_subject="own",
    changes=False,
    errors=("not-found",),
)
async def explain_message(context: Context, request: ExplainMessage) -> Explanation:
    """Tell step by step what became of a message, and for what did not happen by which rule.

    Nothing of its content is told. What is not known any more is said.
    """
    traces = None if context.live is None else context.live.router.traces
    if traces is not None:
        remembered = _remembered(context, traces, request)
        answers = [trace for trace in remembered if trace.kind == "error"]
        found = _one_message([trace for trace in remembered if trace.kind != "error"] or answers)
        if found:
            errors = [trace for trace in answers if trace not in found]
            return await message_story.of_traces(context, traces, found, errors)
    entry = None
    if request.user is not None and context.stores.ledger is not None:
        entry = await _archived(context.stores.ledger, request.user, request.id)
        if entry is not None:
            return await message_story.of_entry(context, traces, request.user, entry)
    raise OperationError("not-found", _not_found(traces, request))


def _remembered(context: Context, traces: Traces, request: ExplainMessage) -> list[Trace]:
    """Give what is remembered of messages with this id, as far as the caller may know of them."""
    return [
        trace
        for trace in traces.recent
        if _has_id(trace, request.id, request.user)
        and (context.may_act_for(trace.sender.bare) or context.may_act_for(trace.recipient))
    ]


def _has_id(trace: Trace, id_: str, user: Jid | None) -> bool:
    sender, recipient = trace.sender.bare, trace.recipient
    if user is not None and user not in {sender, recipient}:
        return False
    if id_ in {trace.id, trace.stanza_id}:
        return True
    if any(place.id == id_ and user in {None, place.archive} for place in trace.places):
        return True
    return message_key("origin", sender.text, recipient.text, id_) in trace.keys


def _one_message(found: list[Trace]) -> list[Trace]:
    """Give the traces of one message, the oldest first: that of a repeat belongs to the first one."""
    messages: dict[object, list[Trace]] = {}
    for trace in reversed(found):
        messages.setdefault(trace.places or id(trace), []).append(trace)
    if len(messages) > 1:
        named = "; ".join(map(message_story.name_of, (traces[0] for traces in messages.values())))
        more = " and others" if len(messages) > _MOST_NAMED else ""
        named = "; ".join(named.split("; ")[-_MOST_NAMED:])
        raise OperationError(
            "invalid", f"several messages have this id: {named}{more}; name one by its archive id"
        )
    return next(iter(messages.values()), [])


async def _archived(ledger: Ledger, owner: Jid, text: str) -> Archived | None:
    """Find an entry by its archive id, or among the newest by an id that a client has given."""
    entry = EntryId.parse(text)
    if entry is not None:
        try:
            page = await ledger.page(owner, message_story.entry_query(entry))
        except NoSuchEntry:
            pass
        else:
            return page.entries[0]
    newest = PageQuery(limit=LOOKED_AT, newest=True, flipped=True, offline_only=True, counted=False)
    for found in (await ledger.page(owner, newest)).entries:
        if found.body is not None:
            stanza = kept(found.body)
            if text in {stanza.id, origin_id_of(stanza)}:
                return found
    return None


def _not_found(traces: Traces | None, request: ExplainMessage) -> str:
    """Say where was looked, and what would help."""
    looked = []
    if traces is None:
        looked.append("the server is not running, so nothing is remembered")
    elif not traces.keeps:
        looked.append("no messages are remembered, since `explained_messages` in [log] is 0")
    else:
        looked.append(
            f"it is not among the last {traces.keeps} messages that this node remembers, of each second the "
            f"first {traces.a_second} accepted and the first {traces.a_second} refused ones"
        )
    if request.user is None:
        looked.append("name the account that sent or got it (`user`) to look into its archive, too")
    else:
        looked.append(
            f"the archive of {request.user} has no entry of this id, and none of its last {LOOKED_AT} "
            "messages was given it by a client"
        )
    return "; ".join(looked)


OPERATIONS = (explain_message,)
