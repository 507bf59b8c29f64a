"""The page on DNS records and the firewall: a zone that leads clients here, and rules that nft accepts."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.dns import AAAA as ADDRESS_6
from tests.harness.dns import SRV, A, address, service, serving
from tidings.app import check_dns, config
from tidings.app.options import Config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "dns-and-firewall.md"
FILES = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))


def zone() -> dict[tuple[str, int], list[bytes]]:
    """Give the records that the page shows."""
    records: dict[tuple[str, int], list[bytes]] = {}
    for line in filter(None, FILES["example.org.zone"].splitlines()):
        name, of_internet, kind, *data = line.split()
        assert of_internet == "IN"
        assert name.endswith(".")
        key = (name.rstrip("."), {"A": A, "AAAA": ADDRESS_6, "SRV": SRV}[kind])
        if kind == "SRV":
            priority, weight, port, host = data
            records[key] = [service(int(priority), int(weight), int(port), host.rstrip("."))]
        else:
            records[key] = [address(*data)]
    return records


async def test_the_records_of_the_page_lead_clients_to_the_standard_ports() -> None:
    async with serving(zone()) as resolver:
        found = await check_dns.names(config.load(None, {}, {"server.domains": ["example.org"]}), resolver)
    assert [each.status for each in found] == ["ok", "ok"], found
    for finding, record, port in zip(found, ("_xmpp-client", "_xmpps-client"), (5222, 5223), strict=True):
        assert f"{record}._tcp leads to chat.example.org, port {port}" in finding.text


def test_the_rules_are_accepted_and_let_in_who_the_records_lead_here(tmp_path: Path) -> None:
    program = shutil.which("nft", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("THE FIREWALL IS NOT TESTED: install Debian's package nftables")
    rules = tmp_path / "nftables.conf"
    rules.write_text(FILES["/etc/nftables.conf"])
    # In a network of its own, which has no interface: nothing of this machine's is touched.
    namespace = ["unshare", "--user", "--map-root-user", "--net"]
    shown = subprocess.run(
        [*namespace, "sh", "-c", f"{program} -f {rules} && {program} list ruleset"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    (open_ports,) = re.findall(r"tcp dport \{ ([\d, ]+) \} accept", shown.stdout)
    served = {listener.port for name, listener in Config().listen.enabled().items() if name in {"tcp", "tls"}}
    assert served <= set(map(int, open_ports.split(", ")))
    assert "policy drop" in shown.stdout
