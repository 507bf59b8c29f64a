"""Ad-Hoc Commands: administrators run the server's operations from their chat client.

Implements XEP-0050 1.3.0; the marks § point at its sections. `gateways/administration` says which commands
there are. Only the administrators of a domain see and run those that are not for everybody. Left out:
payloads other than data forms (§3.2), and translations (§3.4), since everything is said in English.

Invariants:
- an open session belongs to one command and to the full JID that began it;
- there are at most `SESSIONS` sessions, and `SESSIONS_OF_ONE` of one JID; a session ends when nothing happens
  in it for `SESSION_SECONDS`;
- a command runs once: its session is closed before it runs, and is opened again only if the command refused
  what was filled in.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.kernel.clock import Clock
from tidings.kernel.events import DiscoInfo, DiscoItems
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.command import (
    Action,
    Actions,
    Command,
    CommandStatus,
    Note,
    bad_request,
    session_expired,
)
from tidings.wire.xmpp.payloads.data_form import DataForm, check_submission

SESSIONS: Final = 1_000
SESSIONS_OF_ONE: Final = 10
SESSION_SECONDS: Final = 600.0


class Outcome(msgspec.Struct, frozen=True):
    """What a command has to show when it is done."""

    form: DataForm | None = None
    notes: tuple[Note, ...] = ()


class AdHocCommand(Protocol):
    """Something that an administrator may run, or everybody."""

    @property
    def is_for_everybody(self) -> bool:
        """Whether one need not be an administrator."""
        ...

    @property
    def node(self) -> str:
        """Its name for programs."""
        ...

    @property
    def name(self) -> str:
        """Its name for people."""
        ...

    @property
    def stages(self) -> tuple[DataForm, ...]:
        """The forms to fill in, one after another; none if there is nothing to ask."""
        ...

    async def run(self, administrator: Jid, answers: Sequence[DataForm]) -> Outcome:
        """Run it with the answer to each form of `stages`; each answer fits its form.

        Raises `StanzaError` where it cannot be done.
        """
        ...


class CommandSession(msgspec.Struct):
    """A command that somebody is filling in, with the answers to its first forms."""

    owner: Jid
    command: AdHocCommand
    answers: tuple[DataForm, ...] = ()
    used: float = 0.0

    @property
    def stage(self) -> int:
        """The number of the stage whose form is to be filled in, counted from 0."""
        return len(self.answers)


class CommandsFeature(Feature):
    """Lists the commands of a domain to its administrators and leads them through their forms."""

    spec: ClassVar[Spec | tuple[Spec, ...]] = Spec.xep(50, version="1.3.0", advertises=(ns.COMMANDS,))  # §2.1
    option_name = "commands"

    def __init__(self, host: Host, clock: Clock, commands: Sequence[AdHocCommand]) -> None:
        self._host = host
        self._commands = {command.node: command for command in commands}
        self._sessions = CommandSessions(clock)

    @listens(DiscoItems)  # §2.2
    def list_commands(self, event: DiscoItems) -> None:
        """List the commands that whoever asks may run."""
        if event.target != self._host.jid or event.node not in (ns.COMMANDS, *self._commands):
            return
        event.known = True
        if event.node == ns.COMMANDS:
            event.items += (
                (self._host.jid, node, command.name)
                for node, command in self._commands.items()
                if self._may_run(event.asker, command)
            )

    @listens(DiscoInfo)  # §2.2
    def describe_command(self, event: DiscoInfo) -> None:
        """Tell who may run a command what it is."""
        if event.target != self._host.jid:
            return
        if event.node == ns.COMMANDS:
            event.known = True
            event.identities.append(("automation", "command-list", "Administration"))
        elif event.node in self._commands:
            command = self._commands[event.node]
            self._check(event.asker, command)
            event.known = True
            event.identities.append(("automation", "command-node", command.name))
            event.features += (ns.COMMANDS, ns.DATA_FORMS)

    @handles(Command, kind="set", at=Addressee.SERVER)  # §2.4
    async def execute(self, request: Iq[Command]) -> Element:
        """Begin a command, or take the next step of one."""
        step = request.payload
        command = self._commands.get(step.node)
        if command is None:
            raise StanzaError("item-not-found", f"there is no command {step.node}")  # §4.4
        self._check(request.sender, command)
        if not step.session:
            return (await self._begin(request.sender, command, step)).encode()
        session = self._sessions.take(step.session, request.sender, command)
        return (await self._continue(session, step)).encode()

    async def _begin(self, owner: Jid, command: AdHocCommand, step: Command) -> Command:
        if step.action in (Action.CANCEL, Action.PREV):
            raise bad_request("bad-action", "this command has not begun")
        session = CommandSession(owner, command)
        return await self._go_on(session, token(12))

    async def _continue(self, session: CommandSession, step: Command) -> Command:
        """Take the next step in a session, which is not among the open ones while that lasts."""
        try:
            match meant_action(step.action, session.stage, len(session.command.stages)):
                case Action.CANCEL:
                    return Command(step.node, step.session, status=CommandStatus.CANCELED)
                case Action.PREV:
                    session.answers = session.answers[:-1]
                case _:
                    session.answers = (*session.answers, fitting_answer(session, step.form))
            return await self._go_on(session, step.session)
        except StanzaError:
            # The administrator can correct the answer: ask for the last stage again.
            session.answers = session.answers[: max(0, len(session.command.stages) - 1)]
            self._sessions.keep(step.session, session)
            raise

    async def _go_on(self, session: CommandSession, session_id: str) -> Command:
        """Ask for the next stage, or run the command when every stage has its answer."""
        command = session.command
        if session.stage == len(command.stages):
            outcome = await command.run(session.owner, session.answers)
            return Command(
                command.node,
                session_id,
                status=CommandStatus.COMPLETED,
                notes=outcome.notes,
                form=outcome.form,
                lang="en",
            )
        self._sessions.keep(session_id, session)
        return Command(
            command.node,
            session_id,
            status=CommandStatus.EXECUTING,
            actions=allowed_actions(session.stage, len(command.stages)),
            form=command.stages[session.stage],
            lang="en",
        )

    def _may_run(self, asker: Jid, command: AdHocCommand) -> bool:
        return command.is_for_everybody or asker.bare in self._host.admins

    def _check(self, asker: Jid, command: AdHocCommand) -> None:
        if not self._may_run(asker, command):
            raise StanzaError("forbidden", "this is for administrators")


class CommandSessions:
    """The open sessions: commands that somebody is filling in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: OrderedDict[str, CommandSession] = OrderedDict()
        self._owners: Counter[Jid] = Counter()

    def take(self, session_id: str, owner: Jid, command: AdHocCommand) -> CommandSession:
        """Return an open session and close it.

        Raises `session-expired` if it is not open, and `bad-sessionid` if it belongs to another JID or to
        another command.
        """
        self._forget_old()
        session = self._open.get(session_id)
        if session is None:
            raise session_expired()
        if session.owner != owner or session.command is not command:
            raise bad_request("bad-sessionid", "this session is not for you, or for another command")
        self._close(session_id)
        return session

    def keep(self, session_id: str, session: CommandSession) -> None:
        """Open a session, or open it again; raise `resource-constraint` if there are too many.

        A JID that has too many loses its oldest one.
        """
        self._forget_old()
        if self._owners[session.owner] >= SESSIONS_OF_ONE:
            self._close(next(key for key, each in self._open.items() if each.owner == session.owner))
        if len(self._open) >= SESSIONS:
            raise StanzaError("resource-constraint", "too many commands are under way; try again later")
        session.used = self._clock.monotonic()
        self._open[session_id] = session
        self._owners[session.owner] += 1

    def __len__(self) -> int:
        return len(self._open)

    def _forget_old(self) -> None:
        earliest = self._clock.monotonic() - SESSION_SECONDS
        while self._open:
            session_id, oldest = next(iter(self._open.items()))
            if oldest.used > earliest:
                return
            self._close(session_id)

    def _close(self, session_id: str) -> None:
        session = self._open.pop(session_id)
        self._owners[session.owner] -= 1
        if not self._owners[session.owner]:
            del self._owners[session.owner]


def allowed_actions(stage: int, stages: int) -> Actions:
    """Return the actions that are allowed at a stage, and which of them `execute` stands for (§3.1)."""
    forward = Action.COMPLETE if stage == stages - 1 else Action.NEXT
    return Actions((Action.PREV, forward) if stage else (forward,), forward)


def meant_action(action: Action, stage: int, stages: int) -> Action:
    """Return the action that a request means at a stage; raise `bad-action` if it is not allowed there."""
    actions = allowed_actions(stage, stages)
    if action is Action.EXECUTE:
        return actions.execute
    if action is Action.CANCEL or action in actions.allowed:
        return action
    raise bad_request("bad-action", f"{action.value} is not possible at this stage")


def fitting_answer(session: CommandSession, answer: DataForm | None) -> DataForm:
    """Return the answer to the form of the present stage; raise `bad-payload` if it does not fit (§4.4)."""
    form = session.command.stages[session.stage]
    if answer is None:
        raise bad_request("bad-payload", "the form is missing")
    try:
        check_submission(form, answer)
    except StanzaError as error:
        raise bad_request("bad-payload", error.text) from error
    return answer
