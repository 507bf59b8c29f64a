"""Commands of rooms: owners do with a room what no protocol of its own is for (XEP-0050 1.3.0).

Each has one form at most, which a client may send at once without asking for it. So nothing is kept between
two steps, and the id of a session is what the client sends, or a new one. The marks § point at XEP-0050.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import Entrance
from tidings.features.rooms.room import Room, room_of
from tidings.features.rooms.room_access import existing
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import Action, Actions, Command, CommandStatus, bad_request
from tidings.wire.xmpp.payloads.data_form import DataForm, FormKind, check_submission


class RoomCommand(NamedTuple):
    """Something that somebody may do with a room."""

    node: str
    """Its name for programs."""
    name: str
    """Its name for people."""
    check: Callable[[Room, Jid], None]
    """Raises `StanzaError` for who may not run it, by full JID."""
    run: Callable[[Room, Jid, DataForm], Awaitable[DataForm | None]]
    """Runs it with what was filled in, and gives what there is to show; raises `StanzaError` to refuse."""
    form: Callable[[Room], DataForm] | None = None
    """Gives what is to be filled in; None where nothing is."""


@runtime_checkable
class HasRoomCommands(Protocol):
    """A feature that has commands of rooms."""

    @property
    def room_commands(self) -> Sequence[RoomCommand]:
        """The commands, in the order in which they are listed."""
        ...


class RoomCommands(Feature):
    """Lists the commands of a room and runs them."""

    spec = Spec.xep(50, version="1.3.0")
    requires = (Entrance,)

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def _commands(self) -> dict[str, RoomCommand]:
        features = (each for each in self._host.features if isinstance(each, HasRoomCommands))
        return {command.node: command for feature in features for command in feature.room_commands}

    @listens(DiscoItems)  # §2.2
    def list_commands(self, event: DiscoItems) -> None:
        """List the commands that whoever asks may run."""
        if event.entity is None or not event.entity.exists or event.node != ns.COMMANDS:
            return
        event.known = True
        room = room_of(event.entity)
        event.items += (
            (room.jid, node, command.name)
            for node, command in self._commands.items()
            if _may_run(command, room, event.asker)
        )

    @listens(DiscoInfo)  # §2.1, §2.2
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that it has commands, and of a command what it is called."""
        if event.entity is None or not event.entity.exists:
            return
        if not event.node:
            event.features.append(ns.COMMANDS)
        elif event.node == ns.COMMANDS:
            event.known = True
            event.identities.append(("automation", "command-list", "Commands of the room"))
        elif (command := self._commands.get(event.node)) is not None:
            command.check(room_of(event.entity), event.asker)
            event.known = True
            event.identities.append(("automation", "command-node", command.name))
            event.features += (ns.COMMANDS, ns.DATA_FORMS)

    @handles(Command, kind="set", at=Addressee.ENTITY)  # §2.4
    async def execute(self, request: Iq[Command]) -> Element:
        """Give the form of a command, or run it."""
        room, step = existing(request), request.payload
        command = self._commands.get(step.node)
        if command is None:
            raise StanzaError("item-not-found", f"there is no command {step.node}")  # §4.4
        command.check(room, request.sender)
        session = step.session or token(12)
        if step.action is Action.CANCEL:
            return Command(step.node, session, status=CommandStatus.CANCELED).encode()
        if step.action is Action.PREV:
            raise bad_request("bad-action", "there is no step before this one")
        answer = step.form or DataForm(FormKind.SUBMIT)
        if command.form is not None:
            form = command.form(room)
            if step.form is None:
                return _asking(step.node, session, form).encode()
            check_submission(form, answer)
        shown = await command.run(room, request.sender, answer)
        return Command(step.node, session, status=CommandStatus.COMPLETED, form=shown).encode()


def _asking(node: str, session: str, form: DataForm) -> Command:
    actions = Actions((Action.COMPLETE,), Action.COMPLETE)
    return Command(node, session, status=CommandStatus.EXECUTING, actions=actions, form=form, lang="en")


def _may_run(command: RoomCommand, room: Room, asker: Jid) -> bool:
    try:
        command.check(room, asker)
    except StanzaError:
        return False
    return True
