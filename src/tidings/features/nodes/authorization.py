"""Authorisation: the form by which an owner lets somebody subscribe, or does not (XEP-0060 §8.6)."""

from __future__ import annotations

from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.nodes import Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.stanza import Stanza

_ALLOW: Final = "pubsub#allow"
_NODE: Final = "pubsub#node"
_SUBID: Final = "pubsub#subid"
_SUBSCRIBER: Final = "pubsub#subscriber_jid"


class Decision(msgspec.Struct, frozen=True):
    """What an owner says to a subscription that waits for it."""

    node: str
    jid: Jid
    id: str
    """That of the subscription, as the form had it."""
    allows: bool


def authorization_form(node: str, subscription: Subscription) -> Element:
    """Give what owners are asked."""
    form = DataForm.of(
        FormKind.FORM,
        ns.PUBSUB_SUBSCRIBE_AUTHORIZATION,
        Field(_SUBID, (subscription.id,), FieldKind.HIDDEN),
        Field(_NODE, (node,), FieldKind.TEXT_SINGLE, "Node"),
        Field(_SUBSCRIBER, (subscription.jid.text,), FieldKind.JID_SINGLE, "Subscriber"),
        Field(_ALLOW, ("0",), FieldKind.BOOLEAN, "Whether this address may subscribe to the node"),
        title="Request for a subscription",
        instructions="Say whether this address may subscribe to the node.",
    )
    return form.encode()


def read_decision(message: Stanza) -> Decision | None:
    """Give what an owner answers; None for any other message, and for a form that was cancelled.

    Raises `bad-request` for a form that lacks something.
    """
    element = message.decode(ns.DATA_FORMS, "x")
    form = None if element is None else DataForm.decode(element)
    if form is None or form.kind is not FormKind.SUBMIT:
        return None
    if form.form_type != ns.PUBSUB_SUBSCRIBE_AUTHORIZATION:
        return None
    node, subscribers = form.text(_NODE), form.jids(_SUBSCRIBER)
    if not node or len(subscribers) != 1 or form.get(_ALLOW) is None:
        raise StanzaError("bad-request", f"the form needs {_NODE}, {_SUBSCRIBER} and {_ALLOW}")
    return Decision(node, subscribers[0], form.text(_SUBID), form.boolean(_ALLOW))
