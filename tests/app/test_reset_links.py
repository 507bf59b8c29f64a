"""Reset links on a server that runs: made by a command, used in a browser, and not twice."""

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.harness.server_process import ServerProcess

HOST = "127.0.0.1"
PUBLIC = "https://chat.example.org"
OPTIONS = f"""
[http]
public_url = "{PUBLIC}"
reset_link_hours = 2

[host."example.org"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path_factory.mktemp("resets"), extra_configuration=OPTIONS)
    yield running
    running.stop()


def is_password(server: ServerProcess, user: str, password: str) -> bool:
    done = server.command("account", "check-password", "--user", user, input=f"{password}\n")
    return done.returncode == 0


def make_link(server: ServerProcess, user: str) -> str:
    """Give the address of the page of a new link, as it is reached on this machine."""
    done = server.command("account", "reset-link", "--user", user)
    assert done.returncode == 0, done.stderr
    [path] = [word.removeprefix(PUBLIC) for word in done.stdout.split() if word.startswith(PUBLIC)]
    return f"http://{HOST}:{server.http_port}{path}"


def open_page(address: str, **form: str) -> tuple[int, str]:
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(address, data, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_somebody_who_has_forgotten_the_password_chooses_another(server: ServerProcess) -> None:
    user = "alice@example.org"
    assert server.command("account", "register", "--user", user, input="old\n").returncode == 0
    address = make_link(server, user)
    status, text = open_page(address)
    assert (status, user in text) == (200, True)
    assert open_page(address, password="new", again="new")[0] == 200
    assert is_password(server, user, "new")
    assert not is_password(server, user, "old")
    assert open_page(address, password="third", again="third")[0] == 404
    assert open_page(address)[0] == 404
    assert is_password(server, user, "new")
    assert address.rpartition("/")[2] not in server.log
    assert "password_changed" in server.log


def test_a_password_that_an_administrator_gives_ends_the_link(server: ServerProcess) -> None:
    user = "bob@example.org"
    assert server.command("account", "register", "--user", user, input="old\n").returncode == 0
    address = make_link(server, user)
    assert server.command("account", "change-password", "--user", user, input="given\n").returncode == 0
    assert open_page(address, password="new", again="new")[0] == 404
    assert is_password(server, user, "given")
