"""Certificates that end soon: a line of the log for each threshold, and a figure for each domain."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from tests.harness.clock import VirtualClock
from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess, make_certificate
from tidings.app import certificate_maker, certificates, config, tls_contexts
from tidings.app.certificate_maker import SELF_SIGNED_DAYS
from tidings.app.certificate_watch import MOST_DOMAINS, CertificateWatch
from tidings.app.tls_contexts import Certificates
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

MADE = datetime(2025, 1, 1, tzinfo=UTC)
ENDS = MADE + timedelta(days=SELF_SIGNED_DAYS)
DAY = 86_400


def write(directory: Path, name: str, made: datetime) -> None:
    certificate, key = certificate_maker.self_signed(["example.org"], made)
    (directory / f"{name}.crt").write_bytes(certificate)
    (directory / f"{name}.key").write_bytes(key)


def serving(directory: Path, domains: dict[str, str]) -> Certificates:
    """Load the certificates of these domains, each by the name of its file."""
    text = "".join(
        f'[host."{domain}"]\ncertificate = "{name}.crt"\nkey = "{name}.key"\n'
        for domain, name in domains.items()
    )
    file = directory / "tidings.toml"
    file.write_text("[server]\ndomains = []\n" + text)
    return tls_contexts.load(config.load(file, {}, {"server.data_dir": str(directory)}))


class Bench:
    """A watch with a clock that is moved by hand."""

    def __init__(self, served: Certificates, now: datetime) -> None:
        self.clock = VirtualClock(now.timestamp())
        self.telemetry = Telemetry()
        self._supervisor = Supervisor(self.telemetry)
        self.watch = CertificateWatch(served, self.clock, self._supervisor, self.telemetry)

    async def rest(self) -> None:
        """Wait until it has looked."""
        while self._supervisor.busy:
            await asyncio.sleep(0.001)

    async def pass_days(self, days: int) -> list[dict[str, Any]]:
        """Let so many days pass, one after another, and give what the log says."""
        with capture_logs() as lines:
            for _ in range(days):
                self.clock.advance(DAY)
                await self.rest()
        return lines

    def figures(self) -> dict[str, float]:
        name = "tidings_certificate_ends_timestamp_seconds"
        [family] = [each for each in self.telemetry.collect() if each.name == name]
        return {sample.labels["domain"]: sample.value for sample in family.samples}


async def test_each_threshold_is_told_once_for_a_certificate_with_its_domains(tmp_path: Path) -> None:
    write(tmp_path, "one", MADE)
    write(tmp_path, "later", MADE + timedelta(days=300))
    served = serving(tmp_path, {"example.org": "one", "example.net": "one", "other.example": "later"})
    bench = Bench(served, ENDS - timedelta(days=40, hours=1))
    with capture_logs() as lines:
        await bench.watch.start()
        await bench.rest()
    assert lines == []
    lines = await bench.pass_days(50)
    assert [(line["event"], line["days"]) for line in lines] == [
        ("certificate_ends", 29),
        ("certificate_ends", 13),
        ("certificate_ends", 6),
        ("certificate_ends", 0),
        ("certificate_ended", 0),
    ]
    assert {line["domains"] for line in lines} == {"example.org, example.net"}
    assert lines[0]["certificate"] == str(tmp_path / "one.crt")
    assert lines[0]["ends"] == f"{ENDS:%Y-%m-%dT%H:%M:%SZ}"
    assert lines[0]["mend"].endswith("tidings server reload")
    assert {line["log_level"] for line in lines} == {"warning"}


async def test_a_server_that_starts_late_tells_the_last_threshold_alone(tmp_path: Path) -> None:
    write(tmp_path, "one", MADE)
    bench = Bench(serving(tmp_path, {"example.org": "one"}), ENDS - timedelta(days=5))
    with capture_logs() as lines:
        await bench.watch.start()
        await bench.rest()
    assert [line["days"] for line in lines] == [5]
    assert await bench.pass_days(3) == []


async def test_a_certificate_that_was_renewed_is_told_no_more(tmp_path: Path) -> None:
    write(tmp_path, "one", MADE)
    served = serving(tmp_path, {"example.org": "one"})
    bench = Bench(served, ENDS - timedelta(days=20))
    with capture_logs():
        await bench.watch.start()
        await bench.rest()
    before = bench.figures()
    write(tmp_path, "one", MADE + timedelta(days=400))
    pairs = {"example.org": certificates.Pair(tmp_path / "one.crt", tmp_path / "one.key")}
    await served.use(await served.read(pairs))
    bench.watch.look()
    await bench.rest()
    assert await bench.pass_days(25) == []
    assert before == {"example.org": ENDS.timestamp()}
    assert bench.figures() == {"example.org": (ENDS + timedelta(days=400)).timestamp()}


async def test_the_figure_is_bounded_and_has_those_that_end_first(tmp_path: Path) -> None:
    write(tmp_path, "soon", MADE)
    write(tmp_path, "later", MADE + timedelta(days=100))
    domains = {f"d{number}.example": "later" for number in range(MOST_DOMAINS + 20)}
    bench = Bench(serving(tmp_path, {**domains, "soon.example": "soon"}), MADE)
    figures = bench.figures()
    assert len(figures) == MOST_DOMAINS
    assert figures["soon.example"] == ENDS.timestamp()


def test_a_running_server_tells_at_its_start_and_after_a_reload(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)  # with a certificate that ends in 30 days
    try:
        server.wait_for('"event": "certificate_ends"')
        with urllib.request.urlopen(f"http://{HOST}:{server.http_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        [told] = re.findall(
            r'^tidings_certificate_ends_timestamp_seconds\{domain="localhost"\} (\S+)$', text, re.MULTILINE
        )
        line = next(json.loads(line) for line in server.log.splitlines() if "certificate_ends" in line)
        assert datetime.fromisoformat(line["ends"]).timestamp() == float(told)
        make_certificate(server.directory, "localhost")
        der = ssl.PEM_cert_to_DER_cert(server.authority.read_text())
        ends = datetime.fromtimestamp(certificates.end_of(der), UTC)
        assert ends.timestamp() != float(told)
        assert server.command("server", "reload").returncode == 0
        server.wait_for(f'"ends": "{ends:%Y-%m-%dT%H:%M:%SZ}"')
    finally:
        server.stop()
