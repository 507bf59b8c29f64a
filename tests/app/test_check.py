"""`tidings check`: what an administrator is told of a server that will not work."""

import json
import re
import resource
import socket
import sqlite3
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.migrate import known_revision
from tidings.app import (
    certificate_maker,
    check,
    check_clock,
    check_machine,
    check_versions,
    cli,
    config,
    file_systems,
    storage,
)
from tidings.base.jid import Jid
from tidings.ports.domains import DomainRecord

CONFIGURATION = """
[server]
data_dir = "data"
[listen.tcp]
addresses = ["127.0.0.1"]
port = 0
[listen.tls]
enabled = false
[listen.http]
enabled = false
[listen.https]
enabled = false
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "tidings.toml").write_text(CONFIGURATION)
    return tmp_path


async def findings(text=CONFIGURATION, flags=None):
    with open("tidings.toml", "w") as file:  # noqa: ASYNC230, PTH123  # a test's few bytes
        file.write(text)
    return await check.examine(config.load(None, {}, flags))


def is_trouble(finding):
    """Tell whether something is wrong, apart from what hangs on the machine that the tests run on."""
    return finding.status != "ok" and finding.subject not in {"clock", "file system", "versions"}


def trouble(found):
    return [(each.status, each.subject, each.text) for each in found if is_trouble(each)]


async def test_a_fresh_server_is_in_order(directory):
    found = await findings()
    assert trouble(found) == []
    assert {finding.subject for finding in found} == {
        "data directory",
        "certificate",
        "listen.tcp",
        "database",
        "clock",
        "versions",
    } | {finding.subject for finding in found if finding.subject == "file system"}


async def test_a_taken_port_is_told_with_its_holder(directory):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = await findings(CONFIGURATION.replace("port = 0", f"port = {port}"))
    [(status, subject, text)] = trouble(found)
    assert (status, subject) == ("fail", f"port {port}")
    assert f"tcp: 127.0.0.1:{port} is taken by" in text


async def test_an_expired_certificate_is_told(directory):
    long_ago = datetime.now(UTC) - timedelta(days=2000)
    certificate, key = certificate_maker.self_signed(["localhost"], long_ago)
    (directory / "c.pem").write_bytes(certificate)
    (directory / "k.pem").write_bytes(key)
    (directory / "k.pem").chmod(0o600)
    found = await findings(CONFIGURATION + '[tls]\ncertificate = "c.pem"\nkey = "k.pem"\n')
    [(status, subject, text)] = trouble(found)
    assert (status, subject) == ("fail", "certificate")
    assert text.startswith("c.pem expired on ")


async def test_a_damaged_database_is_told(directory):
    (directory / "data/tidings.sqlite").write_bytes(b"this is no database " * 100)
    [finding] = [finding for finding in await findings() if finding.status == "fail"]
    assert finding.subject == "database"
    assert "file is not a database" in finding.text
    assert finding.mend


@pytest.mark.parametrize(
    "url", ["postgresql://tidings:sesame@127.0.0.1:1/x", "postgresql://tidings@127.0.0.1:1/x?password=sesame"]
)
async def test_a_database_that_cannot_be_reached_is_told_without_its_password(directory, url):
    found = await findings(CONFIGURATION + f'[database]\nurl = "{url}"\n')
    [finding] = [each for each in found if each.status == "fail"]
    assert finding.subject == "database"
    assert "127.0.0.1" in finding.text  # it is told to the administrator
    assert "sesame" not in str(found)


def test_the_rest_of_a_password_is_not_taken_for_a_host(directory, capsys):
    url = "postgresql://tidings:open@sesame@db.internal/x"
    (directory / "tidings.toml").write_text(CONFIGURATION + f'[database]\nurl = "{url}"\n')
    assert cli.main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "%40" in shown
    assert "sesame" not in shown


async def test_a_schema_that_will_be_changed_is_told_with_the_way_back(directory):
    database = connect_database(f"sqlite:///{directory}/data/tidings.sqlite")
    await database.migrate("0009")
    await database.close()
    [finding] = [each for each in await findings() if each.subject == "database"]
    assert f"will be migrated from 0009 to {known_revision()} at the next start" in finding.text
    assert "tidings backup FILE" in finding.mend


async def test_a_database_that_another_program_holds_is_told(directory):
    with sqlite3.connect(directory / "data/tidings.sqlite", isolation_level=None) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("CREATE TABLE t (x)")
        [finding] = [finding for finding in await findings() if finding.status == "fail"]
        holder.execute("ROLLBACK")
    holder.close()
    assert finding.subject == "database"
    assert "locked" in finding.text
    assert "Another process holds it" in finding.mend


async def test_a_data_directory_that_is_a_file_or_open_to_all_is_told(directory):
    (directory / "data").chmod(0o755)
    assert trouble(await findings()) == [
        ("warn", "data directory", "data is open to everybody on this machine")
    ]
    (directory / "data").rmdir()
    (directory / "data").write_text("")
    found = trouble(await findings())
    assert ("fail", "data directory", "the data directory data is a file") in found


@pytest.mark.parametrize(
    "name",
    [
        "secret",
        "admin.sock",
        "acme-account.pem",
        "tidings.sqlite",
        "tidings.sqlite-wal",
        "tidings.sqlite-shm",
    ],
)
async def test_a_secret_that_everybody_may_read_is_told(directory, name):
    sqlite3.connect(directory / "data/tidings.sqlite").close()
    path = directory / "data" / name
    path.touch()
    (directory / "data/tidings.sqlite").chmod(0o600)
    path.chmod(0o644)
    [finding] = [each for each in await findings() if is_trouble(each)]
    assert (finding.status, finding.subject) == ("warn", "permissions")
    assert f"data/{name}" in finding.text
    assert finding.mend == f"chmod 600 data/{name}"
    path.chmod(0o640)  # a group may be let in on purpose
    assert trouble(await findings()) == []


async def test_a_configuration_with_a_password_that_everybody_may_read_is_told(directory):
    text = CONFIGURATION.replace("[server]", '[server]\ncreate_admins = ["alice:wonderland"]')
    (directory / "tidings.toml").chmod(0o644)
    assert "holds a password" in str(trouble(await findings(text)))
    assert "wonderland" not in str(await findings(text))
    (directory / "tidings.toml").chmod(0o600)
    assert trouble(await findings(text)) == []


async def test_a_key_for_an_authority_that_everybody_may_read_is_told(directory):
    (directory / "eab").write_text("c2VjcmV0")
    (directory / "eab").chmod(0o644)
    found = trouble(await findings(CONFIGURATION + '[acme]\nkey_id = "us"\nkey_file = "eab"\n'))
    assert [(status, subject) for status, subject, _ in found] == [("warn", "permissions")]
    assert "with a key for the certificate authority" in str(found)


async def test_more_connections_than_files_are_told(directory):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    [(status, subject, text)] = trouble(await findings(CONFIGURATION + f"[limits]\nconnections = {most}\n"))
    assert (status, subject) == ("warn", "open files")
    assert text.startswith(f"{most} at most")


async def test_more_memory_than_there_is_is_told(directory):
    text = CONFIGURATION + "[limits]\noutbound_total_bytes = 1_000_000_000_000\n"
    [finding] = [finding for finding in await findings(text) if is_trouble(finding)]
    assert (finding.status, finding.subject) == ("warn", "memory")
    assert "953,674 MiB" in finding.text
    assert "outbound_total_bytes" in finding.mend


async def test_a_full_disk_is_told(directory, monkeypatch):
    usage = type("usage", (), {"free": 1024})
    monkeypatch.setattr(check_machine.shutil, "disk_usage", lambda _: usage)
    [finding] = [finding for finding in await findings() if is_trouble(finding)]
    assert (finding.status, finding.text) == ("fail", "data, 0.0 GiB free")


async def test_passwords_in_the_clear_are_told(directory):
    text = CONFIGURATION.replace("127.0.0.1", "*") + '[tls]\nrequired = "never"\n'
    [(status, subject, _)] = trouble(await findings(text))
    assert (status, subject) == ("warn", "security")


def test_the_command_shows_a_table_and_its_exit_code(directory, capsys, monkeypatch):
    monkeypatch.setattr("tidings.app.known_features.own_features", tuple)  # loading them takes a while
    assert cli.main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "the SQLite database data/tidings.sqlite is empty" in " ".join(shown.split())
    assert re.search(r"Everything is in order\.|0 to mend, 1 to consider\.", shown)  # the clock may be
    (directory / "tidings.toml").write_text(CONFIGURATION + "[lgo]\n")
    assert cli.main(["check"]) == 1
    shown = capsys.readouterr().out
    assert "unknown section [lgo]; did you mean [log]?" in shown
    assert cli.main(["check", "--json"]) == 1
    [told] = json.loads(capsys.readouterr().out)
    assert told["status"] == "fail"


@pytest.mark.parametrize(
    ("directory_name", "reason"),
    [
        ("/proc/tidings", "/proc"),
        ("tidings.toml/data", "tidings.toml is a file"),
    ],
)
async def test_a_data_directory_that_cannot_be_made_is_told(directory, directory_name, reason):
    found = await findings(CONFIGURATION.replace('"data"', f'"{directory_name}"'))
    [(status, text)] = [(each.status, each.text) for each in found if each.subject == "data directory"]
    assert status == "fail"
    assert "does not exist and cannot be made" in text
    assert reason in text


def test_a_data_directory_of_a_name_that_nothing_can_have_is_told(directory, capsys):
    (directory / "tidings.toml").write_text(CONFIGURATION.replace('"data"', f'"{"x" * 300}"'))
    assert cli.main(["check"]) == 1
    assert "cannot be the name of a directory" in " ".join(capsys.readouterr().out.split())


async def test_a_data_directory_that_can_be_made_is_not_made(directory):
    found = await findings(CONFIGURATION.replace('"data"', '"new/data"'))
    assert trouble(found) == []
    assert {path.name for path in directory.iterdir()} == {"data", "tidings.toml"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("origins", '["chat.example.org"]'),
        ("origins", '["https://chat.example.org/"]'),
        ("origins", '["https://Chat.example.org"]'),
        ("public_url", '"chat.example.org"'),
        ("public_url", '"wss://chat.example.org"'),
        ("public_url", '"https://"'),
    ],
)
def test_web_addresses_without_what_makes_them_one_are_told(directory, capsys, option, value):
    (directory / "tidings.toml").write_text(CONFIGURATION + f"[http]\n{option} = {value}\n")
    assert cli.main(["check"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert f"`{option}` in [http] must be" in shown
    assert "https://chat.example.org" in shown


async def test_what_browsers_do_send_is_in_order(directory):
    text = '[http]\norigins = ["https://a.example:8443", "capacitor://localhost", "null", "*"]\n'
    text += 'public_url = "https://chat.example.org/xmpp"\n'
    assert trouble(await findings(CONFIGURATION + text)) == []


async def test_an_administrator_at_a_mistyped_domain_is_told(directory):
    more = '[server]\ndomains = ["example.org"]\nadmins = ["alice@exmaple.org"]'
    text = CONFIGURATION.replace("[server]", more)
    text += '[host."example.org"]\nadmins = ["bob", "carol@elsewhere.test"]\n'
    found = trouble(await findings(text))
    assert [each[:2] for each in found] == [("warn", "administrators")] * 2
    (_, _, mistyped), (_, _, elsewhere) = found
    assert mistyped.startswith("`admins` in [server] names alice@exmaple.org, but exmaple.org is not served")
    assert mistyped.endswith("did you mean example.org?")
    assert elsewhere.startswith('`admins` in [host."example.org"] names carol@elsewhere.test, but')


async def test_accounts_of_a_domain_that_is_configured_no_more_are_told(directory):
    stores = await storage.open_stores(config.load(None, {}))
    for name in ("alice@former.test", "bob@former.test", "carol@added.test", "dave@localhost"):
        await stores.accounts.create(Jid(name), (), 0)
    await stores.domains.add(DomainRecord(domain="added.test", created=0, admins=()))
    await stores.close()
    [finding] = [each for each in await findings() if is_trouble(each)]
    assert (finding.status, finding.subject) == ("warn", "accounts")
    assert finding.text.startswith("former.test is served no more and still has 2 accounts")
    assert "tidings account list --domain former.test" in finding.mend


def test_an_address_for_abuse_that_is_no_uri_is_told(directory, capsys):
    (directory / "tidings.toml").write_text(
        CONFIGURATION + '[features.contact_addresses]\nabuse = ["abuse@example.org"]\n'
    )
    assert cli.main(["check"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert '`abuse` must be addresses with a scheme, such as "mailto:abuse@example.org"' in shown


# --- the machine


def test_a_clock_that_nobody_keeps_right_or_that_was_never_set_is_told():
    now = datetime(2027, 1, 1, tzinfo=UTC)
    [kept] = check_clock.clock(now, is_kept=True)
    [unkept] = check_clock.clock(now, is_kept=False)
    [unknown] = check_clock.clock(now, is_kept=None)
    [unset] = check_clock.clock(datetime(1970, 1, 1, 0, 5, tzinfo=UTC), is_kept=True)
    assert [each.status for each in (kept, unkept, unknown, unset)] == ["ok", "warn", "ok", "fail"]
    assert "1970-01-01" in unset.text
    assert "chrony" in unkept.mend


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw - nfs4 server:/srv rw
31 30 8:2 / /srv/local\\040disk rw shared:7 - xfs /dev/sdb rw
40 22 0:50 / /run rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("place", "kind", "objection"),
    [
        ("/var/lib/tidings", "ext4", ""),
        ("/srv/tidings", "nfs4", "a network's"),
        ("/srv/local disk/tidings", "xfs", ""),
        ("/srvice", "ext4", ""),
        ("/run/tidings", "tmpfs", "forgotten when the machine starts anew"),
    ],
)
def test_a_file_system_that_loses_or_damages_a_database_is_told(directory, place, kind, objection):
    assert file_systems.kind_of(Path(place), MOUNTS) == kind
    found = list(check_machine.file_system(Path(place), config.load(None, {}), MOUNTS))
    assert [each.status for each in found] == (["warn"] if objection else [])
    assert all(objection in each.text and "data_dir" in each.mend for each in found)


def test_the_file_system_does_not_matter_where_the_database_is_elsewhere(directory):
    (directory / "tidings.toml").write_text(CONFIGURATION + '[database]\nurl = "postgresql://db/tidings"\n')
    assert list(check_machine.file_system(Path("/srv"), config.load(None, {}), MOUNTS)) == []


@pytest.mark.parametrize(
    ("library", "version", "statuses"),
    [
        ("SQLite", (3, 40, 1), ["ok"]),  # the server keeps from what happens there
        ("SQLite", (3, 44, 6), []),
        ("SQLite", (3, 45, 0), ["ok"]),
        ("SQLite", (3, 50, 7), []),
        ("SQLite", (3, 51, 3), []),
        ("expat", (2, 4, 4), ["warn"]),
        ("expat", (2, 4, 5), []),
        ("OpenSSL", (3, 0, 6), ["warn"]),
        ("OpenSSL", (1, 1, 1), ["warn"]),
        ("OpenSSL", (3, 0, 7), []),
        ("Python", (3, 12, 3), []),  # uvloop is there
    ],
)
def test_versions_with_known_faults_are_told_with_their_source(library, version, statuses):
    _, *told = check_versions.judged({library: version})
    assert [each.status for each in told] == statuses
    assert all("https://" in each.text and each.mend for each in told)


def test_the_versions_that_run_here_are_told():
    shown, *_ = check_versions.judged(check_versions.installed())
    assert f"SQLite {sqlite3.sqlite_version}" in shown.text
    assert f"OpenSSL {ssl.OPENSSL_VERSION.split()[1]}" in shown.text
