"""What the server says when it has started goes by the facts: who is there, who can come, and how."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, tidings_command
from tidings.app import config
from tidings.app.banner import print_banner

PORTS = {"tcp": ["0.0.0.0:5222"], "tls": ["0.0.0.0:5223"]}


def banner(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, *, has_accounts: bool = False
) -> str:
    (tmp_path / "tidings.toml").write_text(text)
    print_banner(config.load(tmp_path / "tidings.toml", {}), PORTS, has_accounts=has_accounts)
    return capsys.readouterr().out


def test_it_says_how_to_make_an_account_until_there_is_one(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)
    try:
        assert "Make an account:\n" in server.log
        assert f"address NAME@localhost, server localhost, port {server.tcp_port}\n" in server.log
        server.register("alice", "wonderland")
        server.kill()
        before = len(server.log)
        server.start_again()
        assert "Make an account" not in server.log[before:]
        assert "address NAME@localhost" in server.log[before:]
    finally:
        server.stop()


def test_a_domain_of_the_world_is_not_said_to_be_localhost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = banner(capsys, tmp_path, '[server]\ndomains = ["example.org"]\n')
    assert "  address NAME@example.org, port 5222\n" in told
    assert f"until DNS leads example.org to this machine, also: server {socket.gethostname()}\n" in told
    assert "localhost" not in told


def test_who_listens_on_loopback_alone_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    doors = "".join(
        f'[listen.{name}]\naddresses = ["localhost"]\n' for name in ("tcp", "tls", "http", "https")
    )
    told = banner(capsys, tmp_path, f'[server]\ndomains = ["example.org"]\n{doors}')
    assert "  address NAME@example.org, server localhost, port 5222, from this machine alone\n" in told


def test_who_needs_no_account_is_told_of_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = banner(capsys, tmp_path, '[server]\nauthentication = "anonymous"\n')
    assert "account" not in told
    assert "domain localhost, anonymous" in told


@pytest.mark.parametrize("is_on_path", [True, False])
def test_it_says_how_the_command_is_found_by_its_name(tmp_path: Path, *, is_on_path: bool) -> None:
    """As after `make serve`, which puts it into a folder that no shell looks into."""
    folder = str(tidings_command().parent)
    elsewhere = [each for each in os.environ["PATH"].split(os.pathsep) if Path(each) != Path(folder)]
    environment = {"PATH": os.pathsep.join([folder, *elsewhere] if is_on_path else elsewhere)}
    server = ServerProcess.start(tmp_path, environment=environment)
    try:
        assert ("tidings account register" in server.log.replace(f"{folder}/tidings", "")) == is_on_path
        assert (f"export PATH={folder}:$PATH\n" in server.log) != is_on_path
    finally:
        server.stop()


PORT = """
from tidings.app import listening
from tidings.app.listen_options import TcpListener
try:
    listening.bind("https", TcpListener(addresses=("127.0.0.1",), port=443))
except listening.ListenError as error:
    print(error)
"""


def test_a_port_that_needs_a_privilege_is_told_with_each_way_to_have_it() -> None:
    """As another user than root, in a network where the limit is the usual one."""
    without = [] if os.geteuid() else ["unshare", "--net", "setpriv", "--bounding-set=-net_bind_service"]
    done = subprocess.run([*without, sys.executable, "-c", PORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:443 may not be used by this user" in done.stdout
    assert "choose a `port` of 1024 or more in [listen.https]" in done.stdout
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in done.stdout
    assert "sysctl -w net.ipv4.ip_unprivileged_port_start=443" in done.stdout
