"""One server for all plays: their people have accounts of their own."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.harness.server_process import ServerProcess


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path_factory.mktemp("dialogs"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def next_mark() -> Callable[[], str]:
    """A suffix that no other performance has."""
    counter = itertools.count(1)
    return lambda: str(next(counter))
