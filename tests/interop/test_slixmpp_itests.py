"""The integration tests that slixmpp ships in its source distribution, against the interop profile.

They log in as two accounts on the standard ports, which are written into some of them; that is what the
interop profile is for. The source distribution of the installed version is fetched once and kept in the cache
of pytest.

The two accounts are contacts: a server that follows XEP-0012 §5 does not tell strangers how long somebody is
away.
"""

import asyncio
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dialogs.raw_client import raw_client
from tests.harness.ports import has_listener
from tests.harness.server_process import INTEROP_PORTS, ServerProcess

ACCOUNTS = {"CI_ACCOUNT1": "slix-one", "CI_ACCOUNT2": "slix-two"}
PASSWORD = "slix pass"
FETCH_SECONDS = 180
ITEST_SECONDS = 90
PORTS_SECONDS = 60

ITESTS_IN_REACH = (
    "test_basic_connect_and_message",
    "test_blocking",
    "test_bob",
    "test_chatmarkers",
    "test_disco",
    "test_httpupload",
    "test_ibb",
    "test_last_activity",
    "test_mam",
    "test_moderate",
    "test_muc",
    "test_pep",
    "test_ping",
    "test_privatestorage",
    "test_quickresponse",
    "test_reactions",
    "test_reconnect",
    "test_retract",
    "test_selfping",
    "test_slow_filters",
    "test_tls_check",
    "test_user_avatar",
    "test_vcard",
    "test_vcard_avatar",
    "test_version",
)

ITESTS_OUT_OF_REACH = {
    "test_component": "components (XEP-0114); also skips itself outside its authors' CI",
    "test_sos": "service outage status (XEP-0455)",
}


@pytest.fixture(scope="session")
def itests(request: pytest.FixtureRequest) -> Path:
    """A directory that holds the package `itests` of the installed slixmpp."""
    version = importlib.metadata.version("slixmpp")
    cache = request.config.cache
    assert cache is not None
    kept = cache.mkdir("slixmpp-itests") / version
    if not (kept / "itests").is_dir():
        _fetch(version, kept)
    return kept


def _fetch(version: str, kept: Path) -> None:
    """Download the source distribution and unpack its tests."""
    download = kept.with_name(f"{version}-download")
    shutil.rmtree(download, ignore_errors=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "slixmpp"),
            *("--dest", str(download), f"slixmpp=={version}"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=FETCH_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(
            f"the source distribution of slixmpp {version} cannot be had: {done.stderr.strip()[-500:]}"
        )
    (archive,) = download.glob("slixmpp-*.tar.gz")
    unpacked = download / "unpacked"
    with tarfile.open(archive) as source:
        inside = [each for each in source.getmembers() if Path(each.name).parts[1:2] == ("itests",)]
        if hasattr(tarfile, "data_filter"):
            source.extraction_filter = tarfile.data_filter
        source.extractall(unpacked, members=inside)
    kept.mkdir(parents=True, exist_ok=True)
    shutil.move(next(unpacked.glob("*/itests")), kept / "itests")
    shutil.rmtree(download)


@pytest.fixture(scope="module")
def interop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The interop profile on its fixed ports, with both accounts."""
    deadline = time.monotonic() + PORTS_SECONDS
    while taken := [port for port in INTEROP_PORTS.values() if has_listener(port)]:
        if time.monotonic() > deadline:
            pytest.fail(f"another program listens on {taken}, which the interop profile needs; stop it")
        time.sleep(0.2)  # another run of these tests; there is no event to wait for in another process
    running = ServerProcess.start_interop(tmp_path_factory.mktemp("interop-profile"))
    for name in ACCOUNTS.values():
        running.register(name, PASSWORD)
    asyncio.run(_befriend(running))
    yield running
    running.stop()


async def _befriend(server: ServerProcess) -> None:
    """Make the two accounts contacts of each other."""
    people = {name: raw_client(server, "tcp", []) for name in ACCOUNTS.values()}
    for name, client in people.items():
        await client.log_in(name, PASSWORD, "setup")
    for kind in ("subscribe", "subscribed"):
        for name, client in people.items():
            for other in people.keys() - {name}:
                await client.send(f'<presence to="{other}@localhost" type="{kind}"/>')
            await client.send('<iq type="get" id="done"><query xmlns="urn:tidings:done"/></iq>')
            while (await client.receive()).get("id") != "done":
                continue
    for client in people.values():
        await client.close()


@pytest.mark.parametrize("name", ITESTS_IN_REACH)
def test_itest(name: str, itests: Path, interop_server: ServerProcess) -> None:
    accounts = {variable: f"{account}@localhost" for variable, account in ACCOUNTS.items()}
    passwords = {f"{variable}_PASSWORD": PASSWORD for variable in ACCOUNTS}
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "--verbose", f"itests.{name}"],
        cwd=itests,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ITEST_SECONDS,
        check=False,
        env={
            **os.environ,
            **accounts,
            **passwords,
            "CI_MUC_SERVER": "conference.localhost",
            "SSL_CERT_FILE": str(interop_server.authority),
        },
    )
    if done.returncode != 0 or "OK" not in done.stderr:
        pytest.fail(
            f"{name}\n{done.stdout}{done.stderr}\nserver:\n{interop_server.log_tail()}", pytrace=False
        )


def test_every_itest_is_judged(itests: Path) -> None:
    """A new version of slixmpp may bring new tests: each is in one of the two lists."""
    shipped = {path.stem for path in (itests / "itests").glob("test_*.py")}
    assert shipped == {*ITESTS_IN_REACH, *ITESTS_OUT_OF_REACH}
