"""The Debian package as an administrator meets it: installed, served from, upgraded, removed and purged.

`make test-deb` runs it: it needs root and the network, and it takes minutes, so `make test` leaves it out.
What systemd would do is done as the unit says: its command, its user, its capability, its notify socket.
"""

from __future__ import annotations

import configparser
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.server_process import make_certificate
from tests.harness.service_manager import Manager
from tests.packaging.debian_root import NEW, OLD, PROJECT, DebianRoot, why_not

PASSWORD = "wonderland"
BACKUPS = "/var/backups/tidings"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/tidings"
USAGE_OR_UNREACHABLE = {2, 3}
ELSEWHERE = {"make", "apt", "systemctl", "journalctl", "systemd-run", "certbot", "mv", "touch", "env"}
"""What the page shows and the story around it does, or what needs a running systemd."""

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(1800),
]

GREET = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as raw:
    with context.wrap_socket(raw, server_hostname="localhost") as channel:
        sys.stdout.write(ssl.DER_cert_to_PEM_cert(channel.getpeercert(binary_form=True)))
"""


class Machine:
    """A Debian with the package, and the server in it as its unit starts it."""

    def __init__(self, root: DebianRoot, packages: dict[str, Path]) -> None:
        self.root = root
        self.log = root.directory.parent / "server.log"
        for version, path in packages.items():
            shutil.copy(path, root.path(f"/root/{version}.deb"))

    def install(self, version: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.root.run(
            "apt-get", "install", "-y", "--no-install-recommends", f"/root/{version}.deb", check=check
        )

    @property
    def version(self) -> str:
        return self.root.run("dpkg-query", "-W", "-f", "${Version} ${Status}", "tidings", check=False).stdout

    def tidings(self, *words: str, input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:  # noqa: A002
        return self.root.run("tidings", *words, input=input, check=check)

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the server as the unit says, wait until it tells that it is ready, and end it."""
        unit = configparser.RawConfigParser(strict=False)
        unit.read(self.root.path("/lib/systemd/system/tidings.service"))
        service = unit["Service"]
        capability = service["AmbientCapabilities"].lower().removeprefix("cap_")
        manager = Manager(str(self.root.path("/run/notify")))
        self.root.path("/run/notify").chmod(0o777)
        server = self.root.launch(
            "setpriv",
            f"--reuid={service['User']}",
            f"--regid={service['Group']}",
            "--init-groups",
            *(f"--{kind}=-all,+{capability}" for kind in ("bounding-set", "inh-caps", "ambient-caps")),
            "--no-new-privs",
            *service["ExecStart"].split(),
            log=self.log,
            NOTIFY_SOCKET="/run/notify",
        )
        try:
            assert manager.next_with("READY") == {"READY": "1", "STATUS": "serves localhost"}
            yield server
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0, self.log.read_text()
        finally:
            server.kill()
            server.wait()
            manager.close()
            self.root.path("/run/notify").unlink()


def beside(server: subprocess.Popen[bytes], *command: str, input: str = "") -> str:  # noqa: A002
    """Run a command of ours in the network of the server."""
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{server.pid}/ns/net", "--", *command],
        input=input,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def send(server: subprocess.Popen[bytes], text: str) -> None:
    """Log in as alice with a client that others wrote, and send bob a message."""
    account = ["--username", "alice@localhost", "--password", PASSWORD, "--jserver", "127.0.0.1:5222"]
    beside(server, "go-sendxmpp", *account, "--no-tls-verify", "bob@localhost", input=text)


def shown(server: subprocess.Popen[bytes], port: int) -> bytes:
    """Give the certificate that a port shows."""
    return ssl.PEM_cert_to_DER_cert(beside(server, sys.executable, "-c", GREET, str(port)))


def test_lintian_has_nothing_to_say(packages: dict[str, Path]) -> None:
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", packages[NEW]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_package_serves_is_upgraded_and_goes(tmp_path: Path, packages: dict[str, Path]) -> None:
    machine = Machine(DebianRoot(tmp_path / "root"), packages)
    root = machine.root
    root.run("apt-get", "update")
    machine.install(OLD)
    assert machine.version == f"{OLD} install ok installed"
    assert root.run("stat", "-c", "%U %a", "/var/lib/tidings", BACKUPS).stdout == "tidings 700\ntidings 700\n"
    assert root.run("stat", "-c", "%U %G %a", "/etc/tidings/tidings.toml").stdout == "root tidings 640\n"
    configuration = root.path("/etc/tidings/tidings.toml")
    text = configuration.read_text().replace("# [listen.https]\n# port = 443", "[listen.https]\nport = 443")
    configuration.write_text(text)

    with machine.serving() as server:
        status = root.run("ps", "-o", "user=", "-p", str(server.pid), check=False)
        assert Path(f"/proc/{server.pid}").stat().st_uid == int(root.run("id", "-u", "tidings").stdout), (
            status
        )
        for name in ("alice", "bob"):
            machine.tidings("account", "register", "--user", f"{name}@localhost", input=f"{PASSWORD}\n")
        send(server, "before the upgrade")
        assert shown(server, 443) == shown(server, 5223)
        assert "alice@localhost" in machine.tidings("account", "list").stdout
        told = root.run(
            "setpriv", "--reuid=nobody", "--clear-groups", "tidings", "account", "list", check=False
        )
        assert (told.returncode, told.stderr.count("sudo tidings account list")) == (2, 1)
        renew(machine, server)
        follow_the_page(machine)
    kept = machine.tidings("archive", "size", "--user", "bob@localhost", "--json").stdout

    refuses_to_upgrade_without_a_backup(machine)
    machine.install(NEW)
    assert machine.version == f"{NEW} install ok installed"
    assert configuration.read_text() == text
    [backup] = root.path(BACKUPS).glob(f"before-upgrade-from-{OLD}-*.backup")
    assert "accounts: 2" in machine.tidings("backup", "verify", f"{BACKUPS}/{backup.name}").stdout

    with machine.serving() as server:
        assert machine.tidings("archive", "size", "--user", "bob@localhost", "--json").stdout == kept
        send(server, "after the upgrade")
        assert machine.tidings("archive", "size", "--user", "bob@localhost", "--json").stdout != kept
    log = machine.log.read_text()
    assert '"level": "error"' not in log
    assert "\n  tidings account register --config /etc/tidings/tidings.toml --user alice@localhost" in log

    root.run("apt-get", "remove", "-y", "tidings")
    assert not root.path("/usr/lib/tidings").exists()
    assert configuration.read_text() == text
    root.run(HOOK, RENEWED_DOMAINS="localhost", RENEWED_LINEAGE="/root/lineage")  # it is still there
    told_last = root.run("apt-get", "purge", "-y", "tidings").stdout
    assert "/var/lib/tidings still holds accounts and messages" in told_last
    assert not root.path("/etc/tidings").exists()
    assert root.path("/var/lib/tidings/tidings.sqlite").exists()


def commands_of_the_page() -> Iterator[str]:
    """Give each command that the page shows, without what makes root of who types it."""
    text = (PROJECT / "docs/how-to/run-on-debian.md").read_text()
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from (line[2:] for line in block.splitlines() if line.startswith("$ "))


def follow_the_page(machine: Machine) -> None:
    """Type what the page says, but what the page calls untried: systemd and certbot are not here."""
    typed = []
    for command in commands_of_the_page():
        words = command.replace("sudo ", "")
        if words.split()[0] in ELSEWHERE:
            continue
        done = machine.root.run("sh", "-c", words, input=f"{PASSWORD}\n", check=False)
        assert done.returncode not in USAGE_OR_UNREACHABLE, f"{words}\n{done.stdout}{done.stderr}"
        assert "not found" not in done.stderr
        typed.append(words.split()[0])
    assert typed.count("tidings") >= 3
    assert typed.count("install") >= 3
    assert machine.root.path("/etc/credstore/database-url").stat().st_mode & 0o777 == 0o600


def renew(machine: Machine, server: subprocess.Popen[bytes]) -> None:
    """Run what certbot runs: who connects next is shown the new certificate, without a restart."""
    lineage = machine.root.path("/root/lineage")
    lineage.mkdir()
    made = make_certificate(lineage, "localhost")
    made.rename(lineage / "fullchain.pem")
    (lineage / "localhost.key").rename(lineage / "privkey.pem")
    variables = {"RENEWED_DOMAINS": "localhost www.localhost", "RENEWED_LINEAGE": "/root/lineage"}
    before = shown(server, 443)
    machine.root.run(HOOK, **variables)
    assert shown(server, 443) == before  # a domain without a directory is none of ours
    machine.root.run("install", "-d", "-o", "tidings", "/var/lib/tidings/certificates/localhost")
    machine.root.run(HOOK, **variables)
    expected = ssl.PEM_cert_to_DER_cert((lineage / "fullchain.pem").read_text())
    assert shown(server, 443) == shown(server, 5223) == expected
    assert server.poll() is None


def refuses_to_upgrade_without_a_backup(machine: Machine) -> None:
    machine.root.run("chown", "root", BACKUPS)
    done = machine.install(NEW, check=False)
    assert done.returncode != 0
    assert "the backup before the upgrade has failed, so nothing is upgraded" in done.stderr + done.stdout
    assert machine.version == f"{OLD} install ok installed"
    assert "bob@localhost" in machine.tidings("account", "list").stdout
    machine.root.run("chown", "tidings", BACKUPS)
