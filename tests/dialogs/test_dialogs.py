"""The plays of this folder, through every transport: they must come true and be the same everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dialogs.raw_client import TRANSPORTS, RawClient, raw_client
from tests.harness.dialog import Performance, Person, Play
from tests.harness.server_process import ServerProcess

PLAYS = sorted(Path(__file__).parent.glob("*.play"))
PASSWORD = "Rosencrantz"
TRACED_LINES = 20


@pytest.fixture(scope="session")
def transcripts() -> dict[str, tuple[str, list[str]]]:
    """What people received in each play, and through which transport, the first time it came to its end."""
    return {}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("path", PLAYS, ids=lambda path: path.stem)
async def test_play(
    path: Path,
    transport: str,
    server: ServerProcess,
    next_mark: Callable[[], str],
    transcripts: dict[str, tuple[str, list[str]]],
) -> None:
    play = Play.read(path)
    cast = play.cast(next_mark())
    for local in {person.local for person in cast.values()}:
        server.register(local, PASSWORD)
    clients: list[tuple[str, RawClient]] = []

    async def enter(person: Person) -> RawClient:
        client = raw_client(server, transport, [])
        clients.append((person.name, client))
        await client.log_in(person.local, PASSWORD, person.resource)
        client.trace.clear()
        return client

    performance = Performance(play, cast, enter)
    failure = ""
    try:
        await performance.run()
    except AssertionError as reason:
        failure = f"{play.title} ({path.name}, {transport})\n{reason}\n\n{_traces(clients)}"
    finally:
        for _, client in clients:
            await client.abort()
    if failure:
        pytest.fail(failure, pytrace=False)
    where, transcript = transcripts.setdefault(path.stem, (transport, performance.transcript))
    assert performance.transcript == transcript, f"{transport} differs from {where}"


def _traces(clients: list[tuple[str, RawClient]]) -> str:
    return "\n".join(f"{name}:\n  " + "\n  ".join(client.trace[-TRACED_LINES:]) for name, client in clients)
