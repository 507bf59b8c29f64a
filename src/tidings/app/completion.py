"""Completion of the command line in shells: `tidings completion bash` prints what the shell needs.

The shells ask `tidings completion candidates WORD…` for what the last word can become. So they know every
operation and option of the version that is installed, and those of extensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tidings.app.command_parser import Flag, flags_of
from tidings.app.commands import Argument, Command
from tidings.app.direct_commands import DIRECT, Direct

FILES: Final = "files"
"""The last line of candidates where the word may be the name of a file, too: shells know those."""

_FILE_METAVARS: Final = frozenset({"FILE", "DIRECTORY"})

_BASH: Final = r"""
_tidings() {
    local found
    mapfile -t found < <("${COMP_WORDS[0]}" completion candidates "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=("${found[@]%%$'\t'*}")
    if [[ ${COMPREPLY[-1]-} == files ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t found < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        COMPREPLY=("${COMPREPLY[@]:0:${#COMPREPLY[@]}-1}" "${found[@]}")
    fi
}
complete -F _tidings tidings
"""

_ZSH: Final = r"""
#compdef tidings
_tidings() {
    local -a found
    local nothing=1
    found=("${(@f)$("${words[1]}" completion candidates "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${found[-1]} == files ]]; then
        found[-1]=()
        _files && nothing=0
    fi
    found=("${(@)found:#}")
    found=("${(@)found//:/\\:}")
    found=("${(@)found/$'\t'/:}")
    (( $#found )) && _describe tidings found && nothing=0
    return nothing
}
compdef _tidings tidings
"""

_FISH: Final = r"""
function __tidings_candidates
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] completion candidates $words[2..-1] 2>/dev/null)
    if test "$found[-1]" = files
        set -e found[-1]
        __fish_complete_path (commandline -ct)
    end
    test -n "$found"; and printf '%s\n' $found
end
complete -c tidings -f -a '(__tidings_candidates)'
"""

SCRIPTS: Final = {"bash": _BASH.lstrip(), "zsh": _ZSH.lstrip(), "fish": _FISH.lstrip()}
"""What each shell needs, by its name."""


class Candidate(NamedTuple):
    """What a word can become, and what that means."""

    text: str
    meaning: str = ""


_FILE: Final = Candidate(FILES)


class _Option(NamedTuple):
    """A flag, and what its value can be."""

    flag: str
    meaning: str
    takes_value: bool
    choices: tuple[str, ...] = ()
    is_file: bool = False
    repeats: bool = False


def candidates(commands: Sequence[Command], words: Sequence[str]) -> Iterator[Candidate]:
    """Give what the last of the words can become, `FILES` last where it may be the name of a file."""
    *before, last = words or [""]
    found = list(_all(commands, before))
    yield from (each for each in found if each.text.startswith(last) and each != _FILE)
    if _FILE in found:
        yield _FILE


def _all(commands: Sequence[Command], before: Sequence[str]) -> Iterator[Candidate]:
    if not before:
        yield from (Candidate(word, direct.summary) for word, direct in DIRECT.items())
        for category in dict.fromkeys(command.category for command in commands):
            names = (command.name for command in commands if command.category == category)
            yield Candidate(category, ", ".join(names))
        return
    if direct := DIRECT.get(before[0]):
        options = [_flag(flag) for flag in direct.flags]
        yield from _words(direct, options, before[1:])
        yield from _options(options, before[1:])
        return
    of_category = [command for command in commands if command.category == before[0]]
    if len(before) == 1:
        yield from (Candidate(command.name, command.promise) for command in of_category)
        return
    for command in of_category:
        if command.name == before[1]:
            yield from _options(_of_command(command), before[2:])
            if command.takes_file:
                yield _FILE


def _options(options: Sequence[_Option], before: Sequence[str]) -> Iterator[Candidate]:
    """Give the value of the flag that comes before, or else the flags that are not there yet."""
    awaited = next(
        (each for each in options if before and each.flag == before[-1] and each.takes_value), None
    )
    if awaited is not None:
        yield from map(Candidate, awaited.choices)
        if awaited.is_file:
            yield _FILE
        return
    for each in options:
        if each.flag not in before or each.repeats:
            yield Candidate(each.flag, each.meaning)


def _words(direct: Direct, options: Sequence[_Option], before: Sequence[str]) -> Iterator[Candidate]:
    """Give what stands without a flag, unless the value of a flag is awaited."""
    values = {each.flag for each in options if each.takes_value}
    if before and before[-1] in values:
        return
    behind = ["", *before]
    given = sum(not word.startswith("-") and behind[at] not in values for at, word in enumerate(before))
    for word in direct.words:
        if word.choices and not given:
            yield from (Candidate(choice, word.help) for choice in word.choices)
        elif not word.choices:
            yield _FILE


def _of_command(command: Command) -> list[_Option]:
    options: list[_Option] = []
    for argument in command.arguments:
        options += _argument(argument)
    return options + [_flag(flag) for flag in flags_of(command)]


def _flag(flag: Flag) -> _Option:
    is_file = flag.metavar in _FILE_METAVARS
    return _Option(flag.name, flag.help, bool(flag.metavar), is_file=is_file, repeats=flag.repeats)


def _argument(argument: Argument) -> Iterator[_Option]:
    if argument.is_positional:
        return
    takes_value = argument.kind != "switch"
    yield _Option(
        argument.flag, argument.description, takes_value, argument.choices, repeats=argument.kind == "list"
    )
    if argument.has_opposite:
        yield _Option(argument.flag.replace("--", "--no-", 1), argument.description, takes_value=False)
