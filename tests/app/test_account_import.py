"""`tidings account import FILE`: what stands in files, and what the command says about it."""

import csv
import io
import json

import msgspec
import pytest

from tests.harness.server_process import ServerProcess
from tidings.app import account_report, cli
from tidings.app.account_file import UnreadableFileError, read
from tidings.app.password_keys import make
from tidings.wire.xmpp.sasl.keys import ScramKeys, verify_password


def lines(text):
    return list(read(io.StringIO(text, newline="")))


def accounts(text):
    return {line.number: line.account for line in lines(text)}


def problems(text):
    return {line.number: line.problem for line in lines(text) if line.problem}


def test_a_csv_file_has_a_header_and_a_line_for_each_account():
    text = (
        "\r\nname,user,password,contacts\r\n"
        '"Alice, the first",alice@localhost, secret ,bob@localhost carol@localhost\r\n'
        "\r\n"
        '"Bob\nB.",bob@localhost,,\r\n'
        "Carol,carol@localhost\r\n"
    )
    assert accounts(text) == {
        3: {
            "user": "alice@localhost",
            "name": "Alice, the first",
            "password": "secret",
            "contacts": [{"jid": "bob@localhost"}, {"jid": "carol@localhost"}],
        },
        5: {"user": "bob@localhost", "name": "Bob\nB."},
        7: {"user": "carol@localhost", "name": "Carol"},
    }
    assert problems(text) == {}


def test_a_csv_file_may_have_semicolons_and_keys():
    text = "user;mechanism;iterations;salt;stored_key;server_key\nalice;SCRAM-SHA-1;4096;c2FsdA==;QQ==;Qg==\n"
    assert accounts(text) == {
        2: {
            "user": "alice",
            "scram": [
                {
                    "mechanism": "SCRAM-SHA-1",
                    "iterations": 4096,
                    "salt": "c2FsdA==",
                    "stored_key": "QQ==",
                    "server_key": "Qg==",
                }
            ],
        }
    }


def test_a_csv_file_says_who_is_invited():
    text = "user,invitation\nalice,yes\nbob,No\ncarol,\ndora,maybe\n"
    assert [line.account.get("invitation") for line in lines(text)[:3]] == [True, False, None]
    assert problems(text) == {5: "`invitation` is yes or no"}


def test_json_lines_have_the_fields_of_the_operation():
    contacts = '"contacts": [{"jid": "bob@localhost", "groups": ["a", "b"]}]'
    text = f'{{"user": "alice@localhost", {contacts}}}\n\n{{"user": "bob"}}'
    assert list(accounts(text)) == [1, 3]
    assert accounts(text)[1]["contacts"][0]["groups"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "number", "told"),
    [
        ("user,password\nalice,x,y\n", 2, "it has 3 values, and the header names 2"),
        ("user,password\n,x\n", 2, "`user` is missing"),
        ("user,iterations\nalice,many\n", 2, "`iterations` is no number"),
        ("user,created\nbob,x\nalice,\udcff\n", 3, "`created`: the octet 0xFF is not UTF-8"),
        ('user\n"alice"x\n', 2, "it is no CSV"),
        ('{"user": "alice"}\n{"user": \n', 2, "it is no JSON"),
        ('{"user": "alice"}\n["bob"]\n', 2, "it is no JSON object"),
        ('{"user": "alice"}\n{"user": 7}\n', 2, "`user` must be a text, not 7"),
        ('{"user": "a", "contacts": [{"jid": "b", "subscription": "x"}]}\n', 1, "`contacts[0].subscription`"),
        ('{"user": "alice", "passwort": "x"}\n', 1, "`passwort` is unknown; the fields are `user`, "),
    ],
)
def test_a_wrong_line_is_told_with_its_number(text, number, told):
    found = problems(text)
    assert list(found) == [number]
    assert told in found[number]


@pytest.mark.parametrize("header", ["name,password", "user,user", "user,phone", "alice"])
def test_a_header_that_is_none_is_refused(header):
    with pytest.raises(UnreadableFileError, match="there are: user, password"):
        lines(f"{header}\nx,y\n")


def test_an_empty_file_has_no_accounts():
    assert lines("") == lines("\n \n") == []


def test_keys_are_those_of_the_password():
    keys, wrong = make(["secret", ""])
    assert wrong == "the password is empty"
    assert [each["mechanism"] for each in keys] == ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]

    for each in keys:
        one = msgspec.convert(each, ScramKeys)
        assert verify_password("secret", [one])
        assert not verify_password("other", [one])


# --- the command


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)

    def run(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = cli.main(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


FILE = "user,password\nalice@localhost,secret\nbob,x\ncarol@elsewhere.test,x\ndora@localhost,\n"


def test_good_lines_are_imported_and_bad_ones_told(run, tmp_path):
    (tmp_path / "accounts.csv").write_text(FILE)
    code, shown, told = run("account", "import", "accounts.csv", "--dry-run")
    expected = "Accounts made: 2, updated: 0, skipped since they exist: 0, failed: 2."
    assert (code, shown) == (1, f"{expected} Nothing was changed.\n")
    assert run("account", "count")[1] == "0\n"
    code, shown, told = run("account", "import", "accounts.csv")
    assert (code, shown) == (1, f"{expected}\n")
    first, second = (line for line in told.splitlines() if "lines done" not in line)  # that is for slow ones
    assert first == "tidings: line 3: 'bob' names no account; write name@domain, such as bob@localhost"
    assert second.startswith("tidings: line 4: carol@elsewhere.test: elsewhere.test is not among the domains")
    assert run("account", "check-password", "--user", "alice@localhost", "--password", "secret")[0] == 0
    assert run("account", "check-password", "--user", "dora@localhost", "--password", "x")[0] == 1
    code, shown, _ = run("account", "import", "accounts.csv", "--domain", "localhost", "--json")
    report = json.loads(shown)
    assert (code, report["made"], report["skipped"]) == (1, 1, 2)
    assert [(each["line"], each["user"]) for each in report["failed"]] == [(4, "carol@elsewhere.test")]


def test_it_tells_how_far_it_is(run, monkeypatch):
    monkeypatch.setattr(account_report, "_PROGRESS_SECONDS", -1.0)  # in the place of waiting for seconds
    typed = "".join(f'{{"user": "user{number}@localhost"}}\n' for number in range(3))
    told = run("account", "import", "-", typed=typed)[2]
    assert told == "".join(f"tidings: lines done: {count}\n" for count in (1, 2, 3))
    assert run("account", "import", "-", "--quiet", "--update", typed=typed)[2] == ""


def test_standard_input_is_read(run):
    typed = '{"user": "alice@localhost", "name": "Alice"}\n'
    assert run("account", "import", "-", "--quiet", typed=typed) == (0, "", "")
    assert run("account", "count")[1] == "1\n"
    assert run("account", "import", "-", "--update", typed=typed)[1] == (
        "Accounts made: 0, updated: 1, skipped since they exist: 0, failed: 0.\n"
    )


def test_a_file_of_many_parts_is_imported_whole(run):
    typed = "".join(f'{{"user": "user{number}@localhost"}}\n' for number in range(1_234))
    assert run("account", "import", "-", typed=typed)[1].startswith("Accounts made: 1234,")
    assert run("account", "count")[1] == "1234\n"


def test_a_file_that_is_not_there_is_told(run):
    assert run("account", "import", "nothing.csv") == (
        1,
        "",
        "tidings: nothing.csv cannot be read: No such file or directory\n",
    )


def rows(file):
    """Give what a report has, without the header."""
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_links_of_invitations_are_in_the_report(run, tmp_path):
    report = tmp_path / "report.csv"
    file = "user,password,invitation\nalice,secret,\nbob,,yes\ncarol,,no\nd d,,yes\n"
    (tmp_path / "accounts.csv").write_text(file)
    options = ("account", "import", "accounts.csv", "--domain", "localhost", "--report")
    code, shown, _ = run(*options, "report.csv")
    expected = "Accounts made: 2, updated: 0, invitations made: 1, skipped since they exist: 0, failed: 1.\n"
    assert (code, shown) == (1, expected)
    assert report.stat().st_mode & 0o777 == 0o600
    told = {row["user"]: row for row in rows(report)}
    assert {user: (row["line"], row["outcome"]) for user, row in told.items()} == {
        "alice@localhost": ("2", "made"),
        "bob@localhost": ("3", "invited"),
        "carol@localhost": ("4", "made"),
        "d d": ("5", "failed"),
    }
    assert told["bob@localhost"]["link"].startswith("xmpp:bob@localhost?register;preauth=")
    assert told["d d"]["reason"]
    assert run("account", "count")[1] == "2\n"
    listed = json.loads(run("invitation", "list", "--domain", "localhost", "--json")[1])["items"]
    assert [(each["id"], each["name"]) for each in listed] == [(told["bob@localhost"]["invitation"], "bob")]


def test_an_import_is_resumed_and_invites_nobody_twice(run, tmp_path):
    users = [f"user{number}@localhost" for number in range(600)]
    options = ("account", "import", "-", "--invite", "--report")
    assert run(*options, "first.csv", typed="\n".join(["user", *users[:550]]))[0] == 0
    first = {row["user"]: row for row in rows(tmp_path / "first.csv")}
    assert len({row["link"] for row in first.values()}) == 550
    code, shown, _ = run(*options, "second.csv", "--json", typed="\n".join(["user", *users]))
    report = json.loads(shown)
    assert (code, report["invited"], report["skipped"]) == (0, 50, 550)
    second = {row["user"]: row for row in rows(tmp_path / "second.csv")}
    assert list(second) == users
    for user, row in second.items():
        if user in first:
            assert (row["outcome"], row["link"]) == ("skipped", "")
            assert first[user]["invitation"] in row["reason"]
        else:
            assert row["link"]


def test_nobody_is_invited_where_there_is_no_place_for_the_link(run, tmp_path):
    typed = "user,password\nalice@localhost,secret\nbob@localhost,\n"
    code, shown, told = run("account", "import", "-", "--invite", typed=typed)
    assert (code, shown.split(",")[0]) == (1, "Accounts made: 1")
    assert "line 3: bob@localhost: name a file for the link of the invitation with --report" in told
    assert json.loads(run("invitation", "list", "--domain", "localhost", "--json")[1])["items"] == []
    assert run("account", "import", "-", "--invite", "--dry-run", typed=typed)[1] == (
        "Accounts made: 0, updated: 0, invitations made: 1, skipped since they exist: 1, failed: 0. "
        "Nothing was changed.\n"
    )
    assert json.loads(run("invitation", "list", "--domain", "localhost", "--json")[1])["items"] == []


def test_a_report_that_cannot_be_written_stops_before_anything_is_made(run, tmp_path):
    (tmp_path / "kept.csv").write_text("links\n")
    for file, why in (("kept.csv", "exists already"), ("nowhere/x.csv", "No such file or directory")):
        code, _, told = run("account", "import", "-", "--report", file, typed="user\nalice@localhost\n")
        assert (code, why in told) == (1, True)
    assert (tmp_path / "kept.csv").read_text() == "links\n"
    assert run("account", "count")[1] == "0\n"


def test_it_works_on_the_running_server(tmp_path):
    server = ServerProcess.start(tmp_path)
    try:
        done = server.command("account", "import", "-", input="user,password\nalice@localhost,secret\n")
        assert (done.returncode, done.stdout.split(",")[0]) == (0, "Accounts made: 1")
        checked = server.command("account", "check-password", "--user", "alice@localhost", input="secret\n")
        assert checked.returncode == 0
    finally:
        server.stop()
