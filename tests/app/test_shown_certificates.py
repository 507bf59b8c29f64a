"""What clients are shown, as operations tell it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_certificate_orders import Bench
from tests.harness.world import World
from tidings.app import certificate_maker, tls_contexts
from tidings.app.shown_certificates import ServedCertificates
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.operations.values import to_plain


async def shown(world: World, bench: Bench, more: str = "") -> Context:
    """Give a context with what a server with this configuration shows."""
    served = tls_contexts.load(bench.configuration(more))
    assert world.context.live is not None
    live = replace(world.context.live, certificates=ServedCertificates(served, bench.orders))
    return replace(world.context, live=live, domains=bench.domains)


async def told(context: Context, name: str, **arguments: object) -> Any:
    return to_plain(await CATALOGUE.call(context, "certificate", name, arguments))


def put(folder: Path, name: str, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    chain, key = certificate_maker.self_signed(names, datetime.now(UTC))
    (folder / f"{name}.pem").write_bytes(chain)
    (folder / "privkey.pem").write_bytes(key)


async def test_each_domain_has_its_certificate_and_where_it_comes_from(world: World, tmp_path: Path) -> None:
    put(tmp_path / "certificates/theirs.example", "fullchain", "theirs.example")
    put(tmp_path, "named", "named.example")
    more = '[host."named.example"]\ncertificate = "named.pem"\nkey = "privkey.pem"\n'
    bench = Bench(tmp_path, "ordered.example", "theirs.example", "named.example", "localhost", more=more)
    await bench.open()
    context = await shown(world, bench, more)
    found = await told(context, "list")
    assert {each["domain"]: each["source"] for each in found["items"]} == {
        "localhost": "self-signed",
        "named.example": "configuration",
        "ordered.example": "ordered",
        "theirs.example": "directory",
    }
    page = await told(context, "list", limit=2)
    assert page["next"] == "named.example"
    assert [each["domain"] for each in (await told(context, "list", after="named.example"))["items"]] == [
        "ordered.example",
        "theirs.example",
    ]
    guest = context.acting_for(Caller.administrator(Jid("boss@theirs.example"), "theirs.example"))
    assert [each["domain"] for each in (await told(guest, "list"))["items"]] == ["theirs.example"]


async def test_a_certificate_is_ordered_when_somebody_asks(world: World, tmp_path: Path) -> None:
    bench = Bench(tmp_path, "ordered.example", "localhost")
    await bench.open()
    context = await shown(world, bench)
    await told(context, "renew", domain="ordered.example")
    assert len(bench.times) == 2
    bench.company.refusal = "too many orders"
    with pytest.raises(OperationError, match=r"ordered\.example got no certificate: too many orders"):
        await told(context, "renew", domain="ordered.example")
    [one] = (await told(context, "list", domain="ordered.example"))["items"]
    assert one["problem"] == "too many orders"
    assert one["next_try"]
    with pytest.raises(OperationError, match="the certificate of localhost is not ordered here"):
        await told(context, "renew", domain="localhost")
