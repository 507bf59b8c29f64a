"""The package under a running systemd, in a container of systemd-nspawn: what only a real one can tell.

`make test-deb` runs it. What the package does without systemd is tried in `installed`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.pebble import Pebble
from tests.packaging.debian_root import NEW, OLD, PROJECT, DebianRoot, why_not

PATIENCE = 90

LACKS = why_not() or ("" if shutil.which("systemd-nspawn") else "apt-get install systemd-container")
pytestmark = [pytest.mark.skipif(bool(LACKS), reason=LACKS), pytest.mark.timeout(1800)]


class Booted:
    """A Debian that runs under its own systemd; commands are typed in it by root."""

    def __init__(self, root: DebianRoot, init: int) -> None:
        self.root = root
        self.network = ["nsenter", f"--target={init}", "--net", "--"]
        """Before a command of ours: it runs in the network of this machine."""
        self._inside = ["nsenter", f"--target={init}", "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self._inside, *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done

    def journal(self) -> str:
        return self.run("journalctl", "-u", "tidings*", "-o", "cat", "-n", "60", check=False).stdout

    def shown(self, name: str) -> str:
        """Give a property of the service."""
        return self.run("systemctl", "show", "--value", "-p", name, "tidings").stdout.strip()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, self.journal()
            time.sleep(0.2)  # there is no event to wait for in another system

    def is_up(self) -> bool:
        """Tell whether systemd has started all that is to be started."""
        told = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return told in {"running", "degraded"}

    def is_active(self) -> bool:
        return self.shown("ActiveState") == "active"


@contextmanager
def booted(root: DebianRoot, log: Path) -> Iterator[Booted]:
    """Boot it in a network of its own, and switch it off at the end."""
    with log.open("wb") as opened:
        words = ["--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe", "--boot"]
        machine = subprocess.Popen(
            ["systemd-nspawn", *words, "-D", root.directory],
            stdin=subprocess.DEVNULL,
            stdout=opened,
            stderr=subprocess.STDOUT,
        )
    try:
        children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
        deadline = time.monotonic() + PATIENCE
        while not children.read_text() or not root.path("/run/systemd").parent.exists():
            assert machine.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)  # as above
        yield Booted(root, int(children.read_text().split()[0]))
    finally:
        machine.send_signal(signal.SIGTERM)  # it asks the system to end in order
        try:
            machine.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            machine.kill()
            machine.wait()


def test_systemd_starts_reloads_watches_backs_up_and_upgrades(
    tmp_path: Path, packages: dict[str, Path]
) -> None:
    root = DebianRoot(tmp_path / "root")
    for version, path in packages.items():
        shutil.copy(path, root.path(f"/root/{version}.deb"))
    root.run("apt-get", "update")
    wanted = ["systemd", "systemd-sysv", "dbus", f"/root/{OLD}.deb"]
    root.run("apt-get", "install", "-y", "--no-install-recommends", *wanted)
    configuration = root.path("/etc/tidings/tidings.toml")
    configuration.write_text(configuration.read_text() + "\n[listen.https]\nport = 443\n")
    with booted(root, tmp_path / "console.log") as machine:
        machine.wait_for(machine.is_up)
        machine.wait_for(machine.is_active)
        assert machine.shown("StatusText") == "serves localhost"
        assert machine.run("tidings", "server", "status", "--quiet").returncode == 0
        reloads(machine, configuration)
        machine.run("systemctl", "start", "tidings-backup")
        assert len(list(root.path("/var/backups/tidings").glob("tidings-*.backup"))) == 1
        starts_again_what_hangs(machine)
        reads_a_credential(machine, configuration)
        renews_certificates(machine, configuration, tmp_path)
        machine.run("apt-get", "install", "-y", f"/root/{NEW}.deb")
        assert machine.run("dpkg-query", "-W", "-f", "${Version}", "tidings").stdout == NEW
        assert len(list(root.path("/var/backups/tidings").glob(f"before-upgrade-from-{OLD}-*.backup"))) == 1
        assert machine.is_active()
        assert "alice@localhost" in machine.run("tidings", "account", "list").stdout
        machine.run("apt-get", "purge", "-y", "tidings")
        assert machine.shown("LoadState") == "not-found"


def reloads(machine: Booted, configuration: Path) -> None:
    text = configuration.read_text()
    machine.run("systemctl", "reload", "tidings")
    configuration.write_text("[limits]\nlogin_secs = 7\n" + text)
    assert machine.run("systemctl", "reload", "tidings", check=False).returncode != 0
    configuration.write_text(text)
    assert machine.is_active()
    assert machine.shown("NRestarts") == "0"


def starts_again_what_hangs(machine: Booted) -> None:
    """Of a server that gives no sign of life, systemd makes one that does."""
    override = machine.root.path("/etc/systemd/system/tidings.service.d/override.conf")
    override.parent.mkdir()
    override.write_text("[Service]\nWatchdogSec=3\nRestartSec=0\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "tidings")
    machine.run("sh", "-c", f"kill -STOP {machine.shown('MainPID')}")
    machine.wait_for(lambda: machine.shown("NRestarts") == "1" and machine.is_active())
    assert "Watchdog timeout" in machine.journal()
    override.unlink()
    machine.run("systemctl", "daemon-reload")


def reads_a_credential(machine: Booted, configuration: Path) -> None:
    """The service is given the URL of its database from a file that its user cannot read."""
    machine.root.path("/etc/credstore").mkdir(mode=0o700)
    credential = machine.root.path("/etc/credstore/database-url")
    credential.write_text("sqlite:////var/lib/tidings/named.sqlite\n")
    credential.chmod(0o600)
    text = configuration.read_text()
    configuration.write_text(text + '\n[database]\nurl_file = "$CREDENTIALS_DIRECTORY/database-url"\n')
    machine.run("systemctl", "restart", "tidings")
    machine.run("sh", "-c", "echo wonderland | tidings account register --user alice@localhost")
    assert machine.root.path("/var/lib/tidings/named.sqlite").exists()


def renews_certificates(machine: Booted, configuration: Path, folder: Path) -> None:
    """It gets a certificate by port 80, and another in time, while somebody chats without a break."""
    place = folder / "authority"
    place.mkdir()
    authority = Pebble(place, http_port=80, tls_port=443, validity_seconds=45, within=machine.network)
    shutil.copy(authority.authority, machine.root.path("/etc/tidings/authority.pem"))
    text = configuration.read_text()
    configuration.write_text(
        f"{text}"
        '[listen.http]\nport = 80\naddresses = ["*"]\n[host."chat.example.org"]\n'
        "[acme]\nenabled = true\naccept_terms = true\n"
        f'directory = "{authority.directory}"\nauthority = "authority.pem"\n'
    )
    with authority.running():
        machine.run("systemctl", "restart", "tidings")
        machine.run("sh", "-c", "echo wonderland | tidings account register --user carol@localhost")
        chat = [sys.executable, "-m", "tests.packaging.chatting", "5223", "carol", "wonderland"]
        chatter = subprocess.Popen(
            [*machine.network, *chat], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert chatter.stdout is not None
        assert chatter.stdout.readline() == "here\n"
        counted = "journalctl -u tidings -o cat | grep -c certificate_issued"
        machine.wait_for(lambda: int(machine.run("sh", "-c", counted, check=False).stdout or 0) > 1)
        told, _ = chatter.communicate("stop\n", timeout=PATIENCE)
    assert chatter.returncode == 0, told
    assert int(told) > 100
    shown = machine.run("tidings", "certificate", "list", "--domain", "chat.example.org", "--json").stdout
    assert '"ordered"' in shown
    configuration.write_text(text)
    machine.run("systemctl", "restart", "tidings")
