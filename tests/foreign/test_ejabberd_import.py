"""A real ejabberd is used, writes down what it has in every way that it knows, and its people come over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.ejabberd import ERLANG, Ejabberd
from tests.portable.foreign import PASSWORDS, come_over, use
from tidings.portable.ejabberd.database import EjabberdDatabase
from tidings.portable.ejabberd.dump import EjabberdDump
from tidings.portable.xep0227.reading import Xep0227


@pytest.mark.parametrize("storage", ["mnesia", "sql"])
async def test_the_people_of_a_server_find_everything(tmp_path: Path, storage: str) -> None:
    assert ERLANG, "ejabberd is not installed: make interop installs it"
    server = Ejabberd(tmp_path, storage, {jid.local or "": password for jid, password in PASSWORDS.items()})
    server.start()
    try:
        await use(server)
        server.write_down()
    finally:
        server.stop()
    if storage == "sql":
        source = EjabberdDatabase(f"sqlite:///{tmp_path}/ejabberd.sqlite", "localhost")
    else:
        source = EjabberdDump(tmp_path / "dump.txt")
    world, report = await come_over(source)
    assert (report.accounts, report.messages) == (2, 8)
    await world.stop()

    world, report = await come_over(Xep0227(server.export()), has_archives=False, has_nodes=False)
    assert (report.accounts, report.messages) == (2, 1)
    await world.stop()
