"""Shows answers to people: sentences, lists and tables; JSON for programs."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tidings.app.tables import BOLD, GREEN, RED, YELLOW, Cell, print_headed, print_table
from tidings.app.units import duration, octets

if TYPE_CHECKING:
    from tidings.app.commands import Command
    from tidings.app.finding import Finding

_SENTENCES: Final[Mapping[tuple[str, str], str]] = {
    ("retention", "hold"): "{what} is kept against trimming and erasing until it is released.",
    ("retention", "release"): "{what} is held no longer.",
    ("account", "register"): "The account {user} has been made.",
    ("account", "remove"): "The account {user} {removed}; sessions ended: {sessions_ended}.",
    ("account", "rename"): "{former} is {user} now.",
    ("account", "restore"): "{user} is not to be removed any more, and has all it had.",
    ("account", "count"): "{count}",
    ("account", "change-password"): "{user} has a new password; sessions ended: {sessions_ended}.",
    ("account", "ban"): "{user} is banned; sessions ended: {sessions_ended}.",
    ("account", "unban"): "{user} may log in again.",
    ("account", "promote"): "{user} may administer {where}.",
    ("account", "demote"): "{user} may administer {where} no more.",
    ("roster", "add"): "{contact} is on the roster of {user}.",
    ("roster", "remove"): "{contact} is on the roster of {user} no more.",
    ("group", "remove"): "{domain} has the group {group} no more; members that it had: {changed}.",
    ("group", "add"): "Members of {group} that are new or have another name: {changed}.",
    ("group", "drop"): "Members that have left {group}: {changed}.",
    ("vcard", "set"): "{user} has this vCard now.",
    ("private", "remove"): "{user} has <{name}> of {namespace} no more.",
    ("http-upload", "remove"): "{user} has the file {id} no more.",
    ("domain", "add"): "{domain} is served now.",
    ("domain", "enable"): "People can log in to {domain}.",
    ("domain", "disable"): "Nobody can log in to {domain}; sessions ended: {sessions_ended}.",
    ("domain", "remove"): "{domain} is being removed; sessions ended: {sessions_ended}.",
    ("session", "count"): "{count}",
    ("session", "kick"): "Sessions ended: {sessions_ended}.",
    ("stanza", "send-message"): "Sent, with the id {id}.",
    ("stanza", "send-stanza"): "Sent, with the id {id}.",
    ("stanza", "announce"): "Sessions that were told: {sessions}.",
    ("retention", "erase-message"): "Erased from archives: {erased}.",
    ("retention", "erase-conversation"): "Messages erased: {erased}; kept by legal hold: {held}.",
    ("retention", "erase-archive"): "Messages erased: {erased}; kept by legal hold: {held}.",
    ("inbox", "read"): "{user} has read all of {peer}; unread before: {were_unread}.",
    ("inbox", "empty-bin"): "Conversations that have left the bin of {user}: {emptied}.",
    ("followers", "rewind"): "{follower} goes on at {cursor}.",
    ("followers", "retry"): "Dead letters that are tried again: {dead_letters}.",
    ("retention", "trim"): "Archives: {archives}; messages that went: {trimmed}.",
    ("muc", "destroy"): "{room} is no more.",
    ("muc", "set-affiliation"): "What {target} is to {room} now: {affiliation}.",
    ("muc", "set-role"): "What {nick} is in {room} now: {role}.",
    ("muc", "kick"): "{nick} was put out of {room}.",
    ("muc", "invite"): "{recipient} was invited into {room}.",
    ("muc", "enter"): "{user} is in {room} as {nick}.",
    ("muc", "exit"): "Devices that have left {room}: {devices}.",
    ("muc", "send"): "Sent, with the id {id}.",
    ("muc", "send-private"): "Sent, with the id {id}.",
    ("muc-light", "invite"): "{recipient} {invited} {room}.",
    ("muc-light", "kick"): "{target} belongs to {room} no more.",
    ("muc-light", "destroy"): "{room} is no more.",
    ("muc-light", "send"): "Sent, with the id {id}.",
}
"""What people are told when an operation has nothing more to show."""

_LISTED: Final[Mapping[str, str]] = {
    "account admins": "administrators",
    "roster": "contacts",
    "private": "elements",
    "http-upload": "files",
    "inbox": "conversations",
    "muc readers": "such members",
    "muc reactors": "people who have reacted so",
    "followers": "followers",
    "followers dead-letters": "dead letters",
    "muc": "rooms",
    "muc occupants": "occupants",
    "muc affiliations": "people with an affiliation",
    "muc messages": "messages",
    "muc-light": "rooms",
    "muc-light members": "members",
    "muc-light messages": "messages",
    "muc-light blocked": "people or rooms that are blocked",
    "muc-light block": "people or rooms that are blocked",
}
"""What is listed where that is not what the category is called."""

_WHOLE: Final = frozenset({"followers dead-letters"})
"""Lists whose last columns matter most: none is left out where a terminal is narrow."""

_NOTHING: Final[tuple[Any, ...]] = ("", None, [], {})
"""What need not be shown."""

_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""A time as answers have it."""

_COLOURS: Final = {"ok": GREEN, "warn": YELLOW, "fail": RED}


def print_json(value: object) -> None:
    """Print a value as JSON, indented, one document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_line(value: object) -> None:
    """Print a value as JSON in one line: one answer of many."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def print_part(value: Mapping[str, Any]) -> None:
    """Print one answer of many: the part of a document as it is, all else as JSON in a line."""
    if value.keys() == {"text"}:
        sys.stdout.write(value["text"])
    else:
        print_line(value)


def print_result(command: Command, result: Mapping[str, Any], *, with_notes: bool = True) -> None:
    """Print the answer of an operation for people; notes beside it go to standard error."""
    sentence = _SENTENCES.get((command.category, command.name))
    if sentence is not None:
        also = {
            "what": _held(result),
            "where": result.get("domain") or "every domain",
            "removed": _removed(result),
            "invited": "belongs to"
            if result.get("added")
            else "blocks this or is in enough rooms: not added to",
        }
        sys.stdout.write(sentence.format_map({**result, **also}) + "\n")
        return
    if result.keys() == {"items", "next"}:
        if result["items"]:
            is_whole = f"{command.category} {command.name}" in _WHOLE
            _print_rows(result["items"], whole=is_whole, with_notes=with_notes)
        elif with_notes:
            sys.stderr.write(f"There are no {_listed(command)}.\n")
        if result["next"] and with_notes:
            sys.stderr.write(f"There are more: --after {shlex.quote(result['next'])}\n")
        return
    if "steps" in result:
        _print_steps(result)
        return
    _print_facts(result, with_notes=with_notes)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what `tidings check` found, as a table, and a last line that sums it up."""
    findings = list(findings)
    print_table(
        [
            (
                Cell(finding.status, _COLOURS[finding.status]),
                Cell(finding.subject),
                Cell(finding.text + (f"\n→ {finding.mend}" if finding.mend else "")),
            )
            for finding in findings
        ]
    )
    failed = sum(finding.status == "fail" for finding in findings)
    warned = sum(finding.status == "warn" for finding in findings)
    if failed or warned:
        sys.stdout.write(f"\n{failed} to mend, {warned} to consider.\n")
    else:
        sys.stdout.write("\nEverything is in order.\n")


def _print_rows(rows: Sequence[Any], *, whole: bool = False, with_notes: bool = True) -> None:
    if not isinstance(rows[0], dict):
        sys.stdout.writelines(f"{row}\n" for row in rows)
        return
    names = [name for name in rows[0] if any(row.get(name) not in _NOTHING for row in rows)]
    cells = [[_show(row.get(name)) for name in names] for row in rows]
    left_out = print_headed([_words(name) for name in names], cells, whole=whole)
    if left_out and with_notes:
        sys.stderr.write(f"Not shown for want of room: {', '.join(left_out)}; --json has all.\n")


def _print_facts(result: Mapping[str, Any], *, with_notes: bool = True) -> None:
    """Print a line for each thing there is to say, and a table for each list of things that have parts."""
    facts = {name: value for name, value in result.items() if value not in _NOTHING}
    lists = {name: value for name, value in facts.items() if isinstance(value, list) and _has_parts(value)}
    single = [_fact(name, value) for name, value in facts.items() if name not in lists]
    if single:
        print_table(single)
    for name, rows in lists.items():
        sys.stdout.write("\n" if single or rows is not next(iter(lists.values())) else "")
        sys.stdout.write(f"{_words(name)}:\n")
        _print_rows(rows, with_notes=with_notes)


def _fact(name: str, value: object) -> tuple[Cell, Cell]:
    """Give what is said of one thing; amounts in units that people read without counting digits."""
    if isinstance(value, int):
        if name == "octets":
            value = octets(value)
        elif name.endswith("_seconds"):
            name, value = name.removesuffix("_seconds"), duration(value)
    return Cell(_words(name), BOLD), Cell(_show(value))


def _print_steps(result: Mapping[str, Any]) -> None:
    """Print what became of something: what it is, a line a step, and what cannot be told."""
    _print_facts({name: value for name, value in result.items() if name not in {"steps", "unknown"}})
    sys.stdout.write("\n")
    print_table(
        [
            (Cell(_show(step["time"])), Cell(step["step"], BOLD), Cell(step["text"]))
            for step in result["steps"]
        ]
    )
    if result["unknown"]:
        sys.stdout.write("\nWhat cannot be told:\n")
        sys.stdout.writelines(f"- {text}\n" for text in result["unknown"])


def _listed(command: Command) -> str:
    """Name what an operation lists, of which there may be several."""
    category = command.category
    return _LISTED.get(f"{category} {command.name}") or _LISTED.get(category, f"{category}s")


def _held(result: Mapping[str, Any]) -> str:
    """Say what is held: a message of an archive, or all of it."""
    message, user = result.get("id"), result.get("user")
    return f"Message {message} of {user}" if message else f"The whole archive of {user}, with what it gets,"


def _removed(result: Mapping[str, Any]) -> str:
    """Say that an account is gone, or when it will be."""
    when = result.get("removal")
    return f"is disabled, and goes at {_show(when)}" if when else "has been removed"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _has_parts(rows: Sequence[Any]) -> bool:
    return bool(rows) and isinstance(rows[0], dict)


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        items = [_show(item) for item in value]
        return ("\n" if any(" " in item for item in items) else ", ").join(items)
    if isinstance(value, dict):
        return ", ".join(
            f"{_words(name)} {_show(each)}" for name, each in value.items() if each not in _NOTHING
        )
    if isinstance(value, str) and _UTC.fullmatch(value):
        return _local(value)
    return "" if value is None else str(value)


def _local(time: str) -> str:
    """Write a time as the clock of this place shows it, with its zone; options take it in this form, too."""
    from datetime import datetime  # noqa: PLC0415  # many answers have no time

    return datetime.fromisoformat(time).astimezone().isoformat(" ", "seconds")
