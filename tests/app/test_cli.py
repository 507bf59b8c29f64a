"""The command as people and programs use it: on the database alone, and through the running server."""

import asyncio
import io
import json
import re
import subprocess
import sys

import pytest

from tests.harness.clock import VirtualClock
from tidings.adapters.memory import MemoryStores
from tidings.app import admin_socket, cli
from tidings.app.direct_commands import DIRECT
from tidings.kernel.domains import Domains
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Context


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run(directory, capsys, monkeypatch):
    def run(*arguments, typed="", stdin=io.StringIO):
        monkeypatch.setattr("sys.stdin", stdin(typed))
        try:
            code = cli.main(arguments)
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def register(run, user="alice@localhost", password="secret"):
    return run("account", "register", "--user", user, "--password", password)


def users(run):
    """Give the accounts that are listed."""
    return [line.split()[0] for line in run("account", "list")[1].splitlines()[1:]]


def test_works_on_the_database_without_a_server(run):
    assert register(run) == (0, "The account alice@localhost has been made.\n", "")
    assert users(run) == ["alice@localhost"]
    assert run("account", "count") == (0, "1\n", "")
    assert register(run) == (1, "", "tidings: the account alice@localhost exists already\n")
    code, shown, _ = run("account", "remove", "--user", "alice@localhost")
    assert (code, shown) == (0, "The account alice@localhost has been removed; sessions ended: 0.\n")
    assert run("account", "list") == (0, "", "There are no accounts.\n")


def test_json_is_for_programs(run):
    register(run)
    code, shown, _ = run("account", "list", "--json")
    page = json.loads(shown)
    assert (code, page["next"]) == (0, None)
    assert [(each["user"], each["banned"]) for each in page["items"]] == [("alice@localhost", False)]


def test_all_pages_of_a_list_come_one_after_another(run):
    everyone = [f"{name}@localhost" for name in ("a", "b", "c", "d", "e")]
    for user in everyone:
        register(run, user)
    code, shown, told = run("account", "list", "--all", "--limit", "2", "--json")
    assert (code, told) == (0, "")
    assert [json.loads(line)["user"] for line in shown.splitlines()] == everyone
    code, shown, told = run("account", "list", "--all", "--limit", "2")
    assert (code, told) == (0, "")  # no word about more pages
    assert [line.split()[0] for line in shown.splitlines() if "@" in line] == everyone
    assert run("account", "list", "--all", "--search", "x") == (0, "", "There are no accounts.\n")
    assert run("account", "list", "--all", "--quiet", "--search", "x") == (0, "", "")


def test_an_empty_list_says_of_what_there_is_nothing(run):
    register(run)
    for words, told in (
        (("inbox", "list", "--user", "alice@localhost"), "There are no conversations.\n"),
        (("roster", "list", "--user", "alice@localhost"), "There are no contacts.\n"),
        (("private", "list", "--user", "alice@localhost"), "There are no elements.\n"),
        (("account", "admins"), "There are no administrators.\n"),
        (("account", "list", "--search", "zoe"), "There are no accounts.\n"),
    ):
        assert run(*words) == (0, "", told)


def test_many_answers_are_printed_line_by_line(run):
    for user in ("bob@localhost", "alice@localhost"):
        register(run, user)
    code, shown, _ = run("account", "export", "--domain", "localhost")
    found = [json.loads(line) for line in shown.splitlines()]
    assert (code, [each["user"] for each in found]) == (0, ["alice@localhost", "bob@localhost"])
    assert found[0]["banned"] is False


def test_a_question_is_answered_by_the_exit_code_too(run):
    register(run)
    assert run("account", "check", "--user", "alice@localhost")[0] == 0
    code, shown, _ = run("account", "check", "--user", "bob@localhost")
    assert code == 1
    assert "exists  no" in shown
    assert run("account", "check-password", "--user", "alice@localhost", "--password", "wrong")[0] == 1


def test_a_password_is_read_from_a_pipe_and_not_shown(run):
    for extra in ((), ("--password", "-")):
        user = f"user{len(extra)}@localhost"
        code, shown, told = run("account", "register", "--user", user, *extra, typed="from the pipe\n")
        assert code == 0
        assert "from the pipe" not in shown + told
        checked = run("account", "check-password", "--user", user, "--password", "from the pipe")
        assert checked[0] == 0


def test_an_empty_password_is_refused(run):
    assert run("account", "register", "--user", "a@localhost") == (1, "", "tidings: the password is empty\n")


def test_what_needs_the_server_says_that_it_is_not_running(run):
    expected = "tidings: the server is not running (no admin socket answers in data)\n"
    assert run("session", "list") == (3, "", expected)
    assert run("stanza", "send-message", "--to", "a@localhost", "--body", "x") == (3, "", expected)


def test_the_status_tells_that_the_server_is_not_running(run):
    code, shown, _ = run("server", "status")
    assert code == 1
    assert "healthy      no" in shown
    assert "running      no" in shown


def test_a_domain_that_is_not_here_is_told_with_what_was_read(run, directory):
    where = "--config and --data-dir name others"
    code, _, told = register(run, "alice@example.org")
    assert code == 1
    assert told == (
        "tidings: example.org is not among the domains here (localhost): no server runs on data, and the "
        f"configuration that was read is the default one, without a file; {where}\n"
    )
    (directory / "my.toml").write_text('[server]\ndomains = ["example.net"]\n')
    code, _, told = run("account", "list", "--domain", "example.org", "--config", "my.toml")
    assert code == 1
    assert told == (
        "tidings: example.org is not among the domains here (example.net): no server runs on data, and the "
        f"configuration that was read is my.toml; {where}\n"
    )


def test_a_directory_without_data_is_not_filled_by_mistake(run, directory):
    (directory / "data").rmdir()
    code, _, told = register(run)
    assert code == 3
    assert told.startswith("tidings: there is no data directory data; run this where the server runs")
    assert not (directory / "data").exists()


def test_a_damaged_database_is_told(run, directory):
    (directory / "data/tidings.sqlite").write_bytes(b"this is no database " * 100)
    code, _, told = register(run)
    assert code == 3
    assert "file is not a database" in told


def test_mistakes_of_the_configuration_are_listed(run, directory):
    (directory / "tidings.toml").write_text("[listen.tcp]\nprot = 1\nport = -1\n")
    code, _, told = run("account", "list")
    assert code == 2
    assert told.splitlines() == [
        "tidings: the configuration cannot be used:",
        "  tidings.toml:2: unknown option `prot` in [listen.tcp]; did you mean `port`?",
        "  tidings.toml:3: `port` in [listen.tcp] must be a whole number from 0 to 65535, not -1",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("account", "ban", "--usr", "a@localhost"),
         "tidings account ban: there is no --usr; did you mean `--user`?"),
        (("serve", "--log-levl=debug"), "tidings serve: there is no --log-levl; did you mean `--log-level`?"),
        (("acount", "list"), "tidings: there is no 'acount'; did you mean `account`?"),
        (("account", "lst"), "tidings account: there is no 'lst'; did you mean `list`?"),
        (("account", "ban"), "tidings account ban: missing: --user"),
        (("stanza", "send-message", "--to", "a@localhost", "--body", "x", "--kind", "caht"),
         "tidings stanza send-message: there is no 'caht'; did you mean `chat`?"),
    ],
)  # fmt: skip
def test_a_mistyped_command_names_the_nearest(run, arguments, told):
    code, _, shown = run(*arguments)
    assert code == 2
    assert shown.splitlines()[0] == told


def test_what_cannot_be_undone_is_asked_for_on_a_terminal(run):
    register(run)
    remove = ("account", "remove", "--user", "alice@localhost")
    for typed in ("n\n", "\n", ""):
        code, shown, told = run(*remove, typed=typed, stdin=Terminal)
        assert (code, shown) == (1, "")
        assert told == (
            "Remove an account and everything stored for it, and end its sessions. This cannot be undone.\n"
            "Go on? [y/N] tidings: nothing was changed\n"
        )
    assert users(run) == ["alice@localhost"]
    assert run(*remove, typed="y\n", stdin=Terminal)[0] == 0
    assert run("account", "list")[1] == ""


def test_a_script_is_not_asked_and_may_say_so(run):
    for flags, stdin in (([], io.StringIO), (["--yes"], io.StringIO), (["--yes"], Terminal)):
        register(run)
        code, _, told = run("account", "remove", "--user", "alice@localhost", *flags, stdin=stdin)
        assert (code, told) == (0, "")


def test_what_changes_nothing_is_not_asked_for(run):
    told = run("account", "remove-inactive", "--idle-days", "9", "--dry-run", typed="n\n", stdin=Terminal)
    assert told == (0, "", "")
    code, _, told = run("account", "remove-inactive", "--idle-days", "9", typed="n\n", stdin=Terminal)
    assert (code, "Go on? [y/N]" in told) == (1, True)


def test_a_removal_that_can_be_taken_back_is_not_asked_for(run):
    register(run)
    later = ("account", "remove", "--user", "alice@localhost", "--after-days", "3")
    code, shown, told = run(*later, typed="n\n", stdin=Terminal)
    assert (code, told) == (0, "")
    assert shown.startswith("The account alice@localhost is disabled, and goes at ")
    restored = "alice@localhost is not to be removed any more, and has all it had.\n"
    assert run("account", "restore", "--user", "alice@localhost") == (0, restored, "")


def test_all_that_cannot_be_undone_asks(run):
    asking = {(each.category, each.name) for each in CATALOGUE if each.irreversible}
    assert asking == {
        (each.category, each.name) for each in CATALOGUE if "be undone" in " ".join(each.details.split())
    }
    for category, name in asking:
        assert "--yes" in run(category, name, "--help")[1]
    assert "--yes" not in run("account", "ban", "--help")[1]


def test_quiet_leaves_what_was_asked_for(run):
    register_quietly = ("account", "register", "--password", "x", "--quiet", "--user")
    assert run(*register_quietly, "alice@localhost") == (0, "", "")
    assert run(*register_quietly, "alice@localhost") == (
        1,
        "",
        "tidings: the account alice@localhost exists already\n",
    )
    run(*register_quietly, "bob@localhost")
    code, shown, told = run("account", "list", "--quiet", "--limit", "1")
    assert (code, "alice@localhost" in shown, "bob" in shown, told) == (0, True, False, "")
    assert run("account", "count", "--quiet") == (0, "2\n", "")
    assert run("account", "check", "--quiet", "--user", "alice@localhost") == (0, "", "")
    assert run("account", "check", "--quiet", "--user", "nobody@localhost") == (1, "", "")


def test_quiet_is_a_letter_too(run):
    for number, words in enumerate((("-q", "account", "register"), ("account", "register", "-q"))):
        assert run(*words, "--user", f"user{number}@localhost", "--password", "x") == (0, "", "")
    assert users(run) == ["user0@localhost", "user1@localhost"]
    assert "-q, --quiet" in run("account", "register", "--help")[1]


def test_an_error_names_flags_as_they_are_typed(run):
    register(run)
    code, _, told = run("retention", "trim", "--user", "alice@localhost")
    assert code == 1
    assert "`--keep-days`, `--keep-messages`" in told
    assert "keep_" not in told
    code, _, told = run("account", "list", "--limit", "0")
    assert code == 1
    assert "`--limit`" in told


@pytest.mark.parametrize(
    ("words", "code", "exit_code", "text"),
    [
        ("account ban --user nobody@localhost", "not-found", 1, "there is no account nobody@localhost"),
        ("account register --user alice@localhost --password x", "conflict", 1,
         "the account alice@localhost exists already"),
        ("account list --limit 0", "invalid", 1, "`--limit`"),
        ("account lst", "usage", 2, "there is no 'lst'; did you mean `list`?"),
        ("account ban", "usage", 2, "missing: --user"),
        ("session list", "unreachable", 3, "the server is not running (no admin socket answers in data)"),
        ("top --once", "unreachable", 3, "no server is running on the data directory data"),
        ("account count --data-dir nowhere", "unreachable", 3, "there is no data directory nowhere"),
        ("account count --config missing.toml", "configuration", 2, "missing.toml"),
        ("backup tidings.toml", "failed", 1, "tidings.toml exists already"),
    ],
)  # fmt: skip
def test_programs_read_why_something_went_wrong(run, directory, words, code, exit_code, text):
    (directory / "tidings.toml").write_text("")
    register(run)
    plainly = run(*words.split())
    assert (plainly[0], plainly[1]) == (exit_code, "")
    for asking in ([*words.split(), "--json"], ["--json", *words.split()]):
        found, shown, told = run(*asking)
        assert (found, told) == (exit_code, plainly[2])  # people are told the same
        [line] = shown.splitlines()
        error = json.loads(line)["error"]
        assert (error["code"], error.keys()) == (code, {"code", "text"})
        assert text in error["text"]


def test_a_damaged_database_and_a_damaged_configuration_have_codes(run, directory):
    (directory / "data/tidings.sqlite").write_bytes(b"this is no database " * 100)
    code, shown, _ = run("account", "count", "--json")
    assert (code, json.loads(shown)["error"]["code"]) == (3, "unreachable")
    (directory / "tidings.toml").write_text("[listen.tcp]\nprot = 1\n")
    code, shown, _ = run("account", "count", "--js")  # which may be cut short
    assert (code, json.loads(shown)["error"]["code"]) == (2, "configuration")
    assert "unknown option `prot`" in json.loads(shown)["error"]["text"]


def test_completion_offers_no_error(run, directory):
    (directory / "tidings.toml").write_text('[server]\nextensions = ["there_is_no_such_module"]\n')
    code, shown, told = run("completion", "candidates", "acme", "--json", "--")
    assert (code, shown) == (2, "")
    assert "there_is_no_such_module" in told


def test_python_finds_the_command_where_it_is_not_on_the_path(directory):
    asked = [sys.executable, "-m", "tidings", "account", "lst"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("tidings account: there is no 'lst'; did you mean `list`?")


def test_every_command_has_help(run):
    code, shown, _ = run("--help")
    assert code == 0
    for word in ("serve", "check", *CATALOGUE.categories()):
        assert word in shown
        assert run(word, "--help")[0] == 0
    for one in CATALOGUE:
        code, shown, _ = run(one.category, one.name, "--help")
        assert code == 0
        assert one.promise.split()[0] in shown


def test_help_keeps_words_whole_and_commands_in_one_column(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("--help")[1]
    assert "\n  certificate  list, renew\n" in shown
    assert "\n  invitation   create, list, revoke\n" in shown
    assert not re.search(r"[a-z]-\n", shown + run("account", "--help")[1])


def test_help_is_a_command_too(run):
    assert run("help") == run("--help")
    assert run("help", "account") == run("account", "--help")
    assert run("help", "account", "list") == run("account", "list", "--help")


def test_options_of_every_command_may_stand_before_it(run, directory):
    (directory / "here").mkdir(mode=0o700)
    there = ("--data-dir", "here")
    assert run(*there, "account", "register", "--user", "alice@localhost", "--password", "x")[0] == 0
    assert run("account", "count")[1] == "0\n"
    for words in ((*there, "--json", "account", "count"), ("--json", "--data-dir=here", "account", "count")):
        code, shown, _ = run(*words)
        assert (code, json.loads(shown)) == (0, {"count": 1})
    code, _, told = run("--data-dir", "account", "count")  # the word behind it is its value
    assert (code, "there is no 'count'" in told) == (2, True)
    assert run("--json")[0] == run("--data-dir")[0] == 2


def test_a_switch_has_an_opposite_where_that_says_something(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for user in ("alice@localhost", "bob@localhost"):
        register(run, user)
    run("account", "ban", "--user", "bob@localhost")
    assert "bob" not in run("account", "list", "--no-banned")[1]
    assert "alice" not in run("account", "list", "--banned")[1]
    code, _, told = run("account", "remove-inactive", "--idle-days", "9", "--no-dry-run")
    assert (code, "there is no --no-dry-run" in told) == (2, True)
    shown = run("account", "remove-inactive", "--help")[1] + run("account", "list", "--help")[1]
    assert "False" not in shown
    assert "without either: yes" in run("invitation", "create", "--help")[1]


def test_flags_of_serve_become_options():
    given = (
        DIRECT["serve"]
        .parser("serve")
        .parse_args(
            [
                "--data-dir",
                "d",
                "--domain",
                "a",
                "--domain",
                "b",
                "--admin",
                "x:y",
                "--auth",
                "any",
                "--reset-when-empty",
            ]
        )
    )
    assert cli.flags_of(vars(given)) == {
        "server.data_dir": "d",
        "server.domains": ["a", "b"],
        "server.authentication": "any",
        "server.create_admins": ["x:y"],
        "server.reset_when_empty": True,
    }


async def test_the_running_server_is_asked_where_there_is_one(run, directory):
    stores = MemoryStores()
    context = Context(
        domains=Domains.of("localhost"), stores=stores, clock=VirtualClock(), database="in memory"
    )
    served = admin_socket.AdminSocket(directory / "data/admin.sock")
    await served.start()
    served.serve(CATALOGUE, context, Supervisor(Telemetry()))
    code, shown, _ = await asyncio.to_thread(register, run)
    assert (code, shown) == (0, "The account alice@localhost has been made.\n")
    assert await stores.accounts.count("localhost") == 1
    assert not (directory / "data/tidings.sqlite").exists()
    await served.close()
