"""Pending subscriptions: owners ask again who waits for their word, by a command (XEP-0060 1.30.0 §8.7).

It has one form, which a client may send at once: so nothing is kept between two steps.
"""

from __future__ import annotations

from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.features.nodes.answers import Done
from tidings.features.nodes.pubsub import PubSub
from tidings.features.nodes.pubsub_options import PubSubOptions
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import AnswerFirst, Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Action, Actions, Command, CommandStatus, bad_request
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option

_NODE: Final = "pubsub#node"
_NAME: Final = "Subscriptions that wait for you"


class PendingCommand(Feature):
    """Sends an owner the forms of all who wait for his word."""

    spec = Spec.xep(50, version="1.3.0", advertises=(ns.COMMANDS,))
    requires = (PubSub,)
    Options = PubSubOptions
    option_name = "pubsub"

    def __init__(self, host: Host) -> None:
        self._host = host

    @listens(DiscoItems)
    def list_command(self, event: DiscoItems) -> None:
        """Name the command (XEP-0050 §2.2)."""
        if event.target == self._host.jid and event.node == ns.COMMANDS:
            event.known = True
            event.items.append((self._host.jid, ns.PUBSUB_GET_PENDING, _NAME))

    @listens(DiscoInfo)
    def describe(self, event: DiscoInfo) -> None:
        """Tell what the command is called (XEP-0050 §2.1)."""
        if event.target != self._host.jid:
            return
        if event.node == ns.COMMANDS:
            event.known = True
            event.identities.append(("automation", "command-list", "Commands"))
        elif event.node == ns.PUBSUB_GET_PENDING:
            event.known = True
            event.identities.append(("automation", "command-node", _NAME))
            event.features += (ns.COMMANDS, ns.DATA_FORMS)

    @handles(Command, kind="set", at=Addressee.SERVER)
    async def execute(self, request: Iq[Command]) -> Element | AnswerFirst | None:
        """Ask for a node of who asks, or send him the forms of those who wait there."""
        pubsub, step = self._host.feature(PubSub), request.payload
        assert pubsub is not None  # required
        if step.node != ns.PUBSUB_GET_PENDING:
            raise StanzaError("item-not-found", f"there is no command {step.node}")
        visit, session = pubsub.visit(request.sender), step.session or token(12)
        if step.action is Action.CANCEL:
            return Command(step.node, session, status=CommandStatus.CANCELED).encode()
        if step.action is Action.PREV:
            raise bad_request("bad-action", "there is no step before this one")
        if step.form is None:
            form = _form(await pubsub.service.owners.owned_names(visit))
            actions = Actions((Action.COMPLETE,), Action.COMPLETE)
            asking = Command(
                step.node, session, status=CommandStatus.EXECUTING, actions=actions, form=form, lang="en"
            )
            return asking.encode()
        news = await pubsub.service.owners.pending(visit, step.form.text(_NODE))
        done = Command(step.node, session, status=CommandStatus.COMPLETED).encode()
        return pubsub.announcements.follow(Done(done, news))


def _form(nodes: tuple[str, ...]) -> DataForm:
    choices = tuple(map(Option, nodes))
    field = Field(_NODE, (), FieldKind.LIST_SINGLE, "Node", is_required=True, options=choices)
    return DataForm.of(FormKind.FORM, ns.PUBSUB_SUBSCRIBE_AUTHORIZATION, field)
