"""Ad-Hoc Commands: run a command of an entity, stage by stage (XEP-0050 1.3.0)."""

import enum
from typing import ClassVar, Final, Self

import msgspec

from tidings.base.errors import StanzaError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm

LONGEST: Final = 1023
"""Octets that a node or session id may have: nobody needs more, and they are kept."""


class Action(enum.StrEnum):
    """What a requester wants done with a command (§4.1)."""

    EXECUTE = "execute"
    CANCEL = "cancel"
    PREV = "prev"
    NEXT = "next"
    COMPLETE = "complete"


class CommandStatus(enum.StrEnum):
    """Where a command stands (§4.1)."""

    EXECUTING = "executing"
    COMPLETED = "completed"
    CANCELED = "canceled"


class NoteKind(enum.StrEnum):
    """How grave a note is (§4.3)."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Note(msgspec.Struct, frozen=True):
    """A remark on a command, for people to read."""

    text: str
    kind: NoteKind = NoteKind.INFO


class Actions(msgspec.Struct, frozen=True):
    """What may be done next (§4.2); `execute` is what the action of that name means here.

    Without `execute` it would mean `next`, so it must be given where `next` is not allowed (§3.1).
    """

    allowed: tuple[Action, ...]
    execute: Action = Action.NEXT


class Command(msgspec.Struct, frozen=True):
    """One step of a command: `action` is the requester's, `status` and what follows the responder's."""

    TAG: ClassVar[tuple[str, str]] = (ns.COMMANDS, "command")

    node: str
    session: str = ""
    action: Action = Action.EXECUTE
    status: CommandStatus | None = None
    actions: Actions | None = None
    notes: tuple[Note, ...] = ()
    form: DataForm | None = None
    lang: str = ""

    @classmethod
    def decode(cls, element: Element) -> Self:
        """Return the step; raise `bad-request` without a node and for an action that does not exist."""
        node, session = element.get("node") or "", element.get("sessionid") or ""
        if not node or max(len(node.encode()), len(session.encode())) > LONGEST:
            raise bad_request("malformed-action", "a command needs a node, and node and session have limits")
        form = element.find("x", ns.DATA_FORMS)
        actions = element.find("actions")
        return cls(
            node,
            session,
            _read_action(element.get("action") or Action.EXECUTE),
            _read_status(element.get("status")),
            None if actions is None else _decode_actions(actions),
            tuple(Note(note.text, _read_note_kind(note.get("type"))) for note in element.find_all("note")),
            None if form is None else DataForm.decode(form),
            element.get("xml:lang") or "",
        )

    def encode(self) -> Element:
        """Return `<command/>`; the action is written only where the step has no status: a requester's."""
        attributes = {"node": self.node, "sessionid": self.session, "xml:lang": self.lang}
        if self.status is not None:
            attributes["status"] = self.status.value
        elif self.action is not Action.EXECUTE:
            attributes["action"] = self.action.value
        command = Element("command", ns.COMMANDS, {name: text for name, text in attributes.items() if text})
        if self.actions is not None:
            command.append(_encode_actions(self.actions))
        for note in self.notes:
            command.append(
                Element("note", ns.COMMANDS, {"type": note.kind.value}, *filter(None, [note.text]))
            )
        if self.form is not None:
            command.append(self.form.encode())
        return command


def bad_request(condition: str, text: str) -> StanzaError:
    """Return `bad-request` with one of the document's own conditions (§4.4), such as `bad-sessionid`."""
    return StanzaError("bad-request", text, payload=Element(condition, ns.COMMANDS).to_bytes())


def session_expired() -> StanzaError:
    """Return the answer to a step of a command whose session is over (§4.4)."""
    payload = Element("session-expired", ns.COMMANDS).to_bytes()
    return StanzaError("not-allowed", "the session of this command has ended", payload=payload)


def _read_action(text: str) -> Action:
    try:
        return Action(text)
    except ValueError as error:
        raise bad_request("malformed-action", "there is no such action") from error


def _read_status(text: str | None) -> CommandStatus | None:
    """Return the status; what a requester writes there is ignored (§4.1), so nonsense is no error."""
    try:
        return None if text is None else CommandStatus(text)
    except ValueError:
        return None


def _read_note_kind(text: str | None) -> NoteKind:
    try:
        return NoteKind(text or NoteKind.INFO)
    except ValueError:
        return NoteKind.INFO


def _decode_actions(element: Element) -> Actions:
    """Return the allowed actions in the order of the document; those it does not know are left out."""
    present = {child.name for child in element.children if child.namespace == ns.COMMANDS}
    allowed = tuple(
        action for action in (Action.PREV, Action.NEXT, Action.COMPLETE) if action.value in present
    )
    return Actions(allowed, _read_action(element.get("execute") or Action.NEXT))


def _encode_actions(actions: Actions) -> Element:
    names = (Element(action.value, ns.COMMANDS) for action in actions.allowed)
    return Element("actions", ns.COMMANDS, {"execute": actions.execute.value}, *names)
