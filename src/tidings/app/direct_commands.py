"""The commands that are no operations: what each is for, and how it is typed."""

from __future__ import annotations

import argparse
from typing import Final, NamedTuple

from tidings.app.command_parser import CONFIG_FLAGS, JSON_FLAG, QUIET_FLAG, Flag, Parser, add_flags

SHELLS: Final = ("bash", "zsh", "fish")
"""The shells that complete commands."""


FORMATS: Final = ("xep-0227", "prosody", "ejabberd", "mongooseim")
"""What `tidings import` reads."""


class Word(NamedTuple):
    """A word that stands without a flag."""

    name: str
    help: str
    choices: tuple[str, ...] = ()
    """What it may be; empty where it is the name of a file."""
    is_optional: bool = False


class Direct(NamedTuple):
    """A command that is no operation."""

    summary: str
    """What stands beside it in the list of all commands."""
    description: str
    epilog: str
    flags: tuple[Flag, ...]
    words: tuple[Word, ...] = ()

    def parser(self, name: str) -> argparse.ArgumentParser:
        """Make its parser."""
        parser = Parser(prog=f"tidings {name}", description=self.description, epilog=self.epilog)
        for word in self.words:
            if word.choices:
                shown, count = "|".join(word.choices), "?" if word.is_optional else None
                parser.add_argument(
                    word.name, nargs=count, choices=word.choices, metavar=shown, help=word.help
                )
            else:
                parser.add_argument(word.name, metavar=word.name.upper(), help=word.help)
        add_flags(parser, self.flags)
        return parser


DIRECT: Final = {
    "serve": Direct(
        "start the server",
        "Start the server. No configuration is needed: the data goes to ./data, the domain is localhost.",
        "Every other option is set in the configuration file or by an environment variable: "
        "see docs/reference/configuration.md.",
        (
            *CONFIG_FLAGS,
            Flag(
                "--domain",
                "DOMAIN",
                "domain to serve, in place of `domains` in [server]; may be repeated",
                repeats=True,
            ),
            Flag(
                "--admin",
                "USER:PASSWORD",
                "administrator to create when missing, in place of `create_admins` in [server]; "
                "may be repeated",
                repeats=True,
            ),
            Flag("--log-level", "LEVEL", "debug, info, warning or error"),
            Flag(
                "--profile",
                "NAME",
                "begin with a shipped configuration: interop (loopback only, for test suites)",
            ),
            Flag(
                "--auth",
                "HOW",
                "accounts, anonymous, or any: every name and password is right (loopback only)",
            ),
            Flag("--reset-when-empty", "", "wipe all storage when the last session ends (loopback only)"),
        ),
    ),
    "check": Direct(
        "look for mistakes in configuration, certificates, ports, database and data directory",
        "Look for what would keep the server from working, and say how to mend it.",
        "The exit code is 1 when something fails, 0 when there are warnings at most.",
        (
            *CONFIG_FLAGS,
            Flag("--profile", "NAME", "check this shipped configuration"),
            Flag(
                "--resolver",
                "ADDRESS",
                "ask this server for names, as ADDRESS or ADDRESS:PORT; `none` looks none up "
                "(default: the machine's)",
            ),
            JSON_FLAG,
        ),
    ),
    "backup": Direct(
        "write all data into one file, beside a running server; `backup verify FILE` reads one",
        "Write everything that the server keeps into one file, as it is at this moment. "
        "The server may run meanwhile.",
        "`tidings backup verify FILE` reads a backup to its end and tells whether it is whole.",
        (JSON_FLAG, *CONFIG_FLAGS),
        (
            Word("what", "read a backup, write none", ("verify",), is_optional=True),
            Word("file", "the backup; it must not exist yet, unless it is read"),
        ),
    ),
    "restore": Direct(
        "put a backup into an empty database, while no server runs on it",
        "Put a backup into an empty database. The server must not run.",
        "The database may be of another kind than the one that was backed up.",
        (JSON_FLAG, *CONFIG_FLAGS),
        (Word("file", "the backup"),),
    ),
    "migrate": Direct(
        "move all data to another database, while no server runs",
        "Move everything that the server keeps to another database, of the same kind or not. "
        "The server must not run.",
        "The former database stays as it is; name the new one in the configuration afterwards.",
        (
            Flag(
                "--to",
                "URL",
                "the database to move to, which is empty; as `url` of [database]",
                is_required=True,
            ),
            JSON_FLAG,
            *CONFIG_FLAGS,
        ),
    ),
    "import": Direct(
        "take over the accounts of another server, while no server runs",
        "Take over accounts with their passwords, contacts and history from what another server has "
        "written. The server must not run. Accounts that are here already stay as they are; what was "
        "interrupted goes on where it stopped.",
        "prosody: its data directory (/var/lib/prosody), or the URL of its database. ejabberd: what "
        "`ejabberdctl dump FILE` has written, or the URL of its database. mongooseim: the URL of its "
        "database. xep-0227: the portable format of XMPP servers.",
        (
            Flag("--domain", "DOMAIN", "the accounts of this domain alone"),
            Flag("--dry-run", "", "say what would come, and write nothing"),
            Flag("--reuse-names", "", "also names that rest after the removal of their accounts"),
            JSON_FLAG,
            *CONFIG_FLAGS,
        ),
        (
            Word("format", "what has written it", FORMATS),
            Word("path", "the file, the directory, or the URL of the database"),
        ),
    ),
    "export": Direct(
        "write all accounts into a file that other servers read",
        "Write accounts with the keys of their passwords, contacts and history into one file, in the "
        "portable format of XMPP servers (XEP-0227). The server may run meanwhile.",
        "Whoever has the file can try passwords on it: keep it as you keep the database.",
        (
            Flag("--domain", "DOMAIN", "this domain alone"),
            JSON_FLAG,
            QUIET_FLAG,
            *CONFIG_FLAGS,
        ),
        (Word("file", "the file to write, which must not exist; - for standard output"),),
    ),
    "top": Direct(
        "show what the running server does: traffic, log-ins, database, memory, who is busiest",
        "Show what the running server does at this moment, anew every few seconds, until Ctrl-C. "
        "Where the output is no terminal, it is one line each time.",
        "`messages in` are what clients have sent, `stanzas out` all that clients were sent.",
        (
            Flag("--once", "", "show it once, of one second, and end"),
            Flag("--interval", "SECONDS", "seconds between two looks, 1 to 30 (default: 2)"),
            JSON_FLAG,
            *CONFIG_FLAGS,
        ),
    ),
    "shell": Direct(
        "run several commands in one process, typed or read from a file",
        "Run several commands in one process. On a terminal they are typed, with completion and history; "
        "else they are read from standard input, a line each, and the first one that fails ends it.",
        "Lines are quoted as in a shell; `help` lists the commands; Ctrl-D ends.",
        (
            Flag("--keep-going", "", "go on after a line of a file that failed"),
            *CONFIG_FLAGS,
        ),
    ),
    "completion": Direct(
        "print what bash, zsh or fish needs to complete commands and options",
        "Print a script that lets a shell complete commands, options and their values.",
        "For bash, put this into ~/.bashrc: source <(tidings completion bash)",
        (),
        (Word("shell", "the shell", SHELLS),),
    ),
}
"""The commands that are no operations, by their word."""
