"""`tidings check` and DNS: what is told of records that lead clients here, elsewhere, or nowhere."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.harness.dns import AAAA, SRV, A, Records, address, service, serving
from tidings.app import check_dns, cli, config, dns

CLIENT, DIRECT, SERVER = "_xmpp-client._tcp", "_xmpps-client._tcp", "_xmpp-server._tcp"
HERE, ELSEWHERE = address("127.0.0.1"), address("192.0.2.9")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def told(records: Records, text: str = "", domain: str = "chat.example.org") -> list[tuple[str, str]]:
    """Give what is told of a domain with these records, under their names without the domain."""
    Path("tidings.toml").write_text(f'[server]\ndomains = ["{domain}"]\n{text}')  # noqa: ASYNC240
    async with serving(records) as server:
        found = await check_dns.names(config.load(None, {}), server)
    return [(each.status, each.text) for each in found]


def records(**of: list[bytes]) -> Records:
    """Give the records of chat.example.org."""
    names = {"client": (CLIENT, SRV), "direct": (DIRECT, SRV), "server": (SERVER, SRV), "a": ("", A)}
    domain = "chat.example.org"
    return {(f"{names[key][0]}.{domain}".strip("."), names[key][1]): data for key, data in of.items()}


async def test_records_that_lead_to_this_machine_are_in_order() -> None:
    host = {("x.example.org", A): [HERE], ("x.example.org", AAAA): [address("::1")]}
    found = await told(
        {
            **records(
                client=[service(0, 5, 5222, "x.example.org")], direct=[service(0, 5, 5223, "x.example.org")]
            ),
            **host,
        }
    )
    assert found == [
        ("ok", f"chat.example.org: {CLIENT} leads to x.example.org, port 5222: this machine"),
        ("ok", f"chat.example.org: {DIRECT} leads to x.example.org, port 5223: this machine"),
    ]


async def test_a_domain_without_records_is_asked_itself() -> None:
    (client, direct) = await told(records(a=[HERE]))
    assert client[0] == "ok"
    assert "clients ask chat.example.org itself at port 5222" in client[1]
    assert direct[0] == "ok"
    assert "clients do not find port 5223" in direct[1]


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        (records(), "", "no address of chat.example.org: no client finds this server"),
        (
            records(a=[HERE]),
            "[listen.tcp]\nport = 5999\n",
            "clients try port 5222, but [listen.tcp] is on 5999",
        ),
        (records(client=[service(0, 5, 5222, "")]), "", "says that there is no such service"),
        (records(client=[service(0, 5, 5222, "gone.example.org")]), "", "gone.example.org has no address"),
        (
            {**records(client=[service(0, 5, 5269, "x.example.org")]), ("x.example.org", A): [HERE]},
            "",
            "port 5269 of this machine, but [listen.tcp] is on 5222",
        ),
        (
            {**records(a=[HERE], direct=[service(0, 5, 5223, "x.example.org")])},
            "[listen.tls]\nenabled = false\n",
            "but [listen.tls] is off",
        ),
        (records(a=[HERE], server=[service(0, 5, 5269, "x.example.org")]), "", "invites other servers"),
    ],
)
async def test_what_leads_clients_astray_is_a_warning(given: Records, text: str, expected: str) -> None:
    warned = [said for status, said in await told(given, text) if status == "warn"]
    assert len(warned) == 1
    assert expected in warned[0]


async def test_a_record_that_leads_elsewhere_is_told_with_where() -> None:
    given = {**records(client=[service(0, 5, 5222, "x.example.org")]), ("x.example.org", A): [ELSEWHERE]}
    (_, said), *_ = await told(given)
    assert "leads to x.example.org, port 5222 (192.0.2.9)" in said


async def test_the_first_target_is_told_first() -> None:
    targets = [service(20, 1, 5222, "c.example.org"), service(10, 1, 5222, "b.example.org")]
    targets.append(service(10, 9, 5222, "a.example.org"))
    hosts = {(f"{name}.example.org", A): [HERE] for name in "abc"}
    found = await told({**records(client=targets), **hosts})
    assert [said.split("leads to ")[1][0] for _, said in found[:3]] == ["a", "b", "c"]


async def test_a_domain_beyond_ascii_is_looked_up_as_dns_has_it() -> None:
    found = await told({("xn--mnchen-3ya.example.org", A): [HERE]}, domain="münchen.example.org")
    assert "clients ask münchen.example.org itself at port 5222" in found[0][1]


async def test_a_resolver_that_is_silent_holds_nobody_up_and_fails_nothing() -> None:
    Path("tidings.toml").write_text('[server]\ndomains = ["chat.example.org"]\n')  # noqa: ASYNC240
    begun = time.monotonic()
    async with serving({}, is_silent=True) as server:
        [finding] = await check_dns.names(config.load(None, {}), server)
    assert time.monotonic() - begun < 2 * dns.SECONDS
    assert finding.status == "ok"
    assert finding.text.startswith("chat.example.org was not looked at: the resolver does not answer")


@pytest.mark.parametrize("domain", ["localhost", "a.test", "192.0.2.1", "intranet", "printer.local"])
async def test_names_that_lead_nowhere_on_the_internet_are_not_looked_up(domain: str) -> None:
    assert await told({}, domain=domain) == []


def test_nothing_is_looked_up_where_that_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tidings.toml").write_text('[server]\ndomains = ["chat.example.org"]\n')
    cli.main(["check", "--resolver", "none", "--json"])
    told_of = {each["subject"]: each["text"] for each in json.loads(capsys.readouterr().out)}
    assert told_of["dns"] == "not looked at, as it was asked"
