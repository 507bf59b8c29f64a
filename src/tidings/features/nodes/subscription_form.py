"""Subscription options: what a subscriber wants, as the form of XEP-0060 §16.4.2.

Left out: digests, bodies, presence as a condition (`show-values`, an `expire` of "presence"), and what is
about collections. A field of a form that is not here says nothing.
"""

from __future__ import annotations

from typing import Final

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.kernel.node_configuration import check_form_type
from tidings.ports.nodes import SubscriptionOptions
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.date_time import format_date_time, read_date_time
from tidings.wire.xmpp.payloads.pubsub import refusal

_DELIVER: Final = "pubsub#deliver"
_EXPIRE: Final = "pubsub#expire"


def options_form(options: SubscriptionOptions) -> DataForm:
    """Give the form to fill in, with what is set."""
    expire = () if options.expire is None else (format_date_time(round(options.expire * SECOND)),)
    return DataForm.of(
        FormKind.FORM,
        ns.PUBSUB_SUBSCRIBE_OPTIONS,
        Field(_DELIVER, ("1" if options.deliver else "0",), FieldKind.BOOLEAN, "Whether news are sent"),
        Field(_EXPIRE, expire, FieldKind.TEXT_SINGLE, "When the subscription ends by itself"),
    )


def read_options(form: DataForm, before: SubscriptionOptions, now: float) -> SubscriptionOptions:
    """Give the options that a submitted form makes of others; raises `invalid-options` (§6.3.4)."""
    check_form_type(form, ns.PUBSUB_SUBSCRIBE_OPTIONS)
    try:
        expire = before.expire
        if form.get(_EXPIRE) is not None:
            text = form.text(_EXPIRE)
            expire = read_date_time(text, _EXPIRE) / SECOND if text else None
        deliver = form.boolean(_DELIVER, default=before.deliver)
    except StanzaError as error:
        raise refusal("bad-request", "invalid-options", error.text) from None
    if expire is not None and expire <= now:
        raise refusal("bad-request", "invalid-options", f"{_EXPIRE} is over")
    return SubscriptionOptions(deliver=deliver, expire=expire)
