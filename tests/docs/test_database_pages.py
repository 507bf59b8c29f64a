"""The pages on PostgreSQL and MariaDB, followed line by line on real servers: every command, every URL.

Replaced are only what differs here: paths, addresses and ports. `sudo` becomes nobody else, and a system
user is let in as the page's.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.harness.databases import give, mariadb
from tests.harness.ports import HOST, free_port
from tests.harness.postgresql import own_postgresql, programs_of_postgresql
from tests.harness.server_process import ServerProcess, make_certificate, tidings_command

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
MOST_CONNECTIONS = 7

pytestmark = pytest.mark.timeout(300)  # a dozen commands and three starts of servers each


@dataclass
class Database:
    """A database server as the administrator of a page has it."""

    page: str
    """The text."""
    replaced: dict[str, str]
    """What stands for what in the page's commands and URLs."""
    programs: dict[str, str]
    """What stands for programs, as lines of a shell."""
    variables: dict[str, str]
    execute: Callable[[str], list[tuple[object, ...]]]
    connections: str
    """The statement that counts those to the page's database."""

    def blocks(self, head: str) -> list[str]:
        """Give the page's blocks that begin so."""
        return re.findall(rf"^```{head}\n(.*?)^```$", self.page, re.MULTILINE | re.DOTALL)

    def commands(self) -> list[str]:
        """Give the page's commands in their order."""
        return [line.removeprefix("$ ") for block in self.blocks("console") for line in block.splitlines()]

    def adapt(self, text: str) -> str:
        for shown, here in self.replaced.items():
            text = text.replace(shown, here)
        return text


@contextlib.contextmanager
def of_postgresql(folder: Path) -> Iterator[Database]:
    page = (PAGES / "use-postgresql.md").read_text()
    (rule,) = re.findall(r"^hostssl .*$", page, re.MULTILINE)
    certificate = make_certificate(folder, "localhost")
    with own_postgresql(is_durable=False) as server:
        target = f"host={server.folder} port={server.port} user=postgres dbname=postgres"

        def execute(statement: str) -> list[tuple[object, ...]]:
            with psycopg.connect(target, autocommit=True) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []

        server.execute("CREATE ROLE postgres SUPERUSER LOGIN")
        execute("ALTER ROLE tidings RENAME TO first")  # the page makes a role of that name
        for source, name in ((certificate, "server.crt"), (certificate.with_suffix(".key"), "server.key")):
            file = shutil.copy(source, server.folder / "data" / name)
            file.chmod(0o600)
            give(file, "postgres")
        (server.folder / "data/pg_ident.conf").write_text(f"here {getpass.getuser()} tidings\n")
        (server.folder / "data/pg_hba.conf").write_text(
            f"local all postgres trust\nlocal all all peer map=here\n{rule.replace('10.0.0.5', HOST)}\n"
        )
        execute("ALTER SYSTEM SET ssl = on")
        execute("SELECT pg_reload_conf()")
        yield Database(
            page=page,
            replaced={
                "/run/postgresql": f"{server.folder}&port={server.port}",
                "db.example.org": f"localhost:{server.port}",
                "/etc/tidings/database-ca.pem": str(certificate),
            },
            programs={},
            variables={"PGHOST": str(server.folder), "PGPORT": str(server.port), "PGUSER": "postgres"},
            execute=execute,
            connections="SELECT count(*) FROM pg_stat_activity WHERE datname = 'tidings'",
        )


@contextlib.contextmanager
def of_mariadb(folder: Path) -> Iterator[Database]:
    certificate, port = make_certificate(folder, "localhost"), free_port()
    user = getpass.getuser()  # whom the socket lets in by that name alone
    made = f"{'ALTER' if user == 'root' else 'CREATE'} USER {user}@localhost"  # root is there already
    with mariadb(port=port, certificate=certificate) as server:
        client = f"--no-defaults --socket={server.folder}/sock --user=root"
        yield Database(
            page=(PAGES / "use-mariadb.md").read_text(),
            replaced={
                "/run/mysqld/mysqld.sock": f"{server.folder}/sock",
                "db.example.org": f"localhost:{port}",
                "10.0.0.5": HOST,
                "/etc/tidings/database-ca.pem": str(certificate),
                "CREATE USER tidings@localhost": made,
                "tidings@localhost": f"{user}@localhost",
            },
            programs={name: f'exec /usr/bin/{name} {client} "$@"' for name in ("mariadb", "mariadb-dump")},
            variables={},
            execute=server.execute,
            connections="SELECT count(*) FROM information_schema.processlist WHERE db = 'tidings'",
        )


@pytest.fixture(params=[of_postgresql, of_mariadb], ids=["postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "backups" / "tidings").mkdir(parents=True)
    (tmp_path / "of-database").mkdir()
    with request.param(tmp_path / "of-database") as database:
        database.replaced["/var/backups"] = str(tmp_path / "backups")
        yield database


class Reader:
    """Somebody who does what a page says, in the folder of his server."""

    def __init__(self, folder: Path, database: Database) -> None:
        programs = {"sudo": '[ "$1" = -u ] && shift 2; exec "$@"'} | database.programs
        (folder / "bin").mkdir()
        for name, text in programs.items():
            (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / "bin" / name).chmod(0o755)
        found = [folder / "bin", tidings_command().parent, programs_of_postgresql(), os.environ["PATH"]]
        self._variables = {"PATH": ":".join(str(each) for each in found if each), **database.variables}
        self._database = database
        self._folder = folder

    def does(self, line: str, **variables: str) -> str:
        """Run a line of the page, which must succeed, and give what it prints."""
        done = self.tries(line, **variables)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def tries(self, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the page."""
        return subprocess.run(
            ["sh", "-c", self._database.adapt(line)],
            cwd=self._folder,
            env={**os.environ, **self._variables, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_who_follows_the_page_moves_there_and_has_a_backup(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    server = ServerProcess.start(folder)
    server.register("alice", "secret")
    server.stop()
    configuration = folder / "tidings.toml"
    plain = configuration.read_text()
    reader = Reader(folder, database)
    of_socket, of_tcp = (database.adapt(text) for text in database.blocks("toml"))
    commands = database.commands()
    *set_up, look, dump = commands[: commands.index("tidings check") + 2]
    *revive, move = commands[len(set_up) + 2 :]
    assert (look, move.split()[:2]) == ("tidings check", ["tidings", "migrate"])

    for line in set_up:
        reader.does(line)
    assert "has everything now: accounts: 1" in reader.does(move)

    configuration.write_text(plain + of_socket)
    told = reader.does(look)
    (shown,) = re.findall(r"^```\n(warn .*?)^```$", database.page, re.MULTILINE | re.DOTALL)
    assert one_line(shown) in one_line(told)
    assert "is up to date" in told
    server.start_again()
    assert server.command("account", "count").stdout == "1\n"
    for _ in range(3):
        server.command("stanza", "send-message", "--to", "alice@localhost", "--body", "hello")
    assert 2 <= int(str(database.execute(database.connections)[0][0])) <= MOST_CONNECTIONS
    server.stop()

    (url,) = database.blocks("text file=database-url")
    (tmp_path / "database-url").write_text(database.adapt(url))
    configuration.write_text(plain + of_tcp)
    told = reader.does(look, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert "localhost" in told
    assert "is up to date" in told

    configuration.write_text(plain + of_socket)
    for line in (dump, *revive):
        reader.does(line)
    backup = tmp_path / "backups/tidings/old.backup"
    reader.does(f"tidings restore {backup} --data-dir {tmp_path}/restored", TIDINGS_DATABASE__URL="")
    counted = reader.does(f"tidings backup verify {backup} --json")
    rows = {name: table["rows"] for name, table in json.loads(counted)["tables"].items()}
    assert (rows["accounts"], rows["messages"]) == (1, 3)


def test_a_database_that_another_authority_has_signed_is_refused(database: Database, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "localhost")
    reader = Reader(tmp_path, database)
    for line in database.commands()[: database.commands().index("tidings check")]:
        reader.does(line)
    database.replaced["/etc/tidings/database-ca.pem"] = str(other)
    (url,) = database.blocks("text file=database-url")
    told = reader.tries("tidings check", TIDINGS_DATABASE__URL=database.adapt(url).strip())
    assert told.returncode == 1
    assert "certificate verify failed" in told.stdout
    assert "n0t" not in told.stdout
