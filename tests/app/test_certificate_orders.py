"""Certificates that are ordered: for which domains, when again, and what becomes of what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.harness.clock import VirtualClock
from tidings.app import certificate_maker, certificates, check_certificates, config
from tidings.app.acme.authority import AcmeError, Issued
from tidings.app.acme.ordered import OrderedCertificates
from tidings.app.acme.orders import FIRST_PAUSE, LONGEST_PAUSE, CertificateOrders
from tidings.app.options import Config
from tidings.kernel.domains import Domains, ServedDomain
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry

DAYS = 90
DAY = 86_400.0


class Company:
    """An authority that trusts everybody, and signs with a key of its own."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._key = certificate_maker.make_key()
        self.orders: list[tuple[float, tuple[str, ...]]] = []
        self.refusal = ""
        self.renewal: float | None = None

    def order(self, names: Sequence[str]) -> Issued:
        self.orders.append((self._clock.now(), tuple(names)))
        if self.refusal:
            raise AcmeError(self.refusal)
        key = certificate_maker.make_key()
        request = x509.load_pem_x509_csr(certificate_maker.request_for(names, key))
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "The Company")])
        issued = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=DAYS))
            .add_extension(alternatives.value, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(issued.public_bytes(serialization.Encoding.PEM), certificate_maker.key_pem(key))

    def renewal_time(self, chain: bytes) -> float | None:
        assert x509.load_pem_x509_certificate(chain)
        return self.renewal


class Bench:
    """Orders with a clock that is moved by hand."""

    def __init__(self, directory: Path, *domains: str, more: str = "") -> None:
        self.directory = directory
        self.clock = VirtualClock()
        self.company = Company(self.clock)
        self.domains = Domains.of(*domains)
        self.taken = 0
        self.supervisor = Supervisor(Telemetry())
        self.orders = self.started(more)

    def configuration(self, more: str = "") -> Config:
        file = self.directory / "tidings.toml"
        listed = ", ".join(f'"{domain}"' for domain in self.domains)
        text = f"[server]\ndomains = [{listed}]\n[acme]\nenabled = true\naccept_terms = true\n"
        file.write_text(text + more)
        return config.load(file, {}, {"server.data_dir": str(self.directory)})

    def started(self, more: str = "") -> CertificateOrders:
        """Give the orders of a server that starts with this configuration."""
        self.clock.forget()
        orders = CertificateOrders(self.configuration(more), lambda _: self.company)
        orders.join(self.domains, self.take, self.clock, self.supervisor, Telemetry())
        return orders

    async def take(self) -> None:
        self.taken += 1

    async def rest(self) -> None:
        while self.supervisor.busy:
            await asyncio.sleep(0.001)

    async def open(self) -> None:
        self.orders.open()
        await self.rest()

    async def pass_time(self, seconds: float, step: float = DAY / 4) -> None:
        end = self.clock.now() + seconds
        while self.clock.now() < end:
            self.clock.advance(min(step, end - self.clock.now()))
            await self.rest()

    @property
    def ordered(self) -> OrderedCertificates:
        return OrderedCertificates(self.directory / "certificates")

    @property
    def times(self) -> list[float]:
        return [when for when, _ in self.company.orders]


async def test_every_domain_without_a_certificate_of_its_own_gets_one(tmp_path: Path) -> None:
    theirs = tmp_path / "certificates/theirs.example"
    theirs.mkdir(parents=True)
    more = '[host."named.example"]\ncertificate = "n.crt"\nkey = "n.key"\n'
    more += '[host."one.example"]\ncertificate_names = ["www.one.example", "bücher.example"]\n'
    domains = ("one.example", "two.example", "localhost", "127.0.0.1", "named.example", "theirs.example")
    bench = Bench(tmp_path, *domains, more=more)
    await bench.rest()
    assert bench.company.orders == []  # the doors are not open yet
    await bench.open()
    assert sorted(names for _, names in bench.company.orders) == [
        ("one.example", "www.one.example", "xn--bcher-kva.example"),
        ("two.example",),
    ]
    assert bench.taken == 2
    found = certificates.pairs_of(bench.configuration(more))
    for domain in ("one.example", "two.example"):
        pair = found[domain]
        assert pair.certificate == tmp_path / "certificates" / domain / "fullchain.pem"
        assert certificates.make_context(pair)
        assert pair.key.stat().st_mode & 0o777 == 0o600
    assert list(theirs.iterdir()) == []


async def test_a_domain_that_is_added_gets_one_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example")
    await bench.open()
    bench.domains.put(ServedDomain(domain="new.example"))
    await bench.rest()
    assert [names for _, names in bench.company.orders] == [("one.example",), ("new.example",)]


async def test_a_certificate_is_renewed_when_a_third_of_its_time_is_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example")
    await bench.open()
    first = bench.ordered.pair("one.example")
    assert first is not None
    before = first.certificate.read_bytes(), first.key.read_bytes()
    await bench.pass_time(DAYS * DAY * 2 / 3 - DAY)
    assert len(bench.times) == 1
    bench.orders = bench.started()  # a start does not order anew
    await bench.open()
    assert len(bench.times) == 1
    await bench.pass_time(2 * DAY)
    assert len(bench.times) == 2
    after = first.certificate.read_bytes(), first.key.read_bytes()
    assert after[0] != before[0]
    assert after[1] != before[1]
    assert bench.taken == 2


async def test_an_authority_may_ask_for_an_earlier_renewal(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example")
    await bench.open()
    wanted = bench.clock.now() + 10 * DAY
    bench.company.renewal = wanted
    await bench.pass_time(30 * DAY)
    bench.company.renewal = None
    assert len(bench.times) >= 2
    assert wanted <= bench.times[1] <= wanted + DAY


async def test_other_names_are_ordered_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example")
    await bench.open()
    bench.orders.use(bench.configuration('[host."one.example"]\ncertificate_names = ["www.one.example"]\n'))
    await bench.rest()
    assert [names for _, names in bench.company.orders][1:] == [("one.example", "www.one.example")]
    bench.orders.use(bench.configuration('[host."one.example"]\ncertificate_names = ["www.one.example"]\n'))
    await bench.rest()
    assert len(bench.times) == 2


async def test_what_fails_is_tried_later_each_time_also_after_a_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example")
    bench.company.refusal = "one.example was not found to be served here: no answer"
    await bench.open()
    state = bench.ordered.state("one.example")
    assert state is not None
    assert (state.failures, state.problem) == (1, bench.company.refusal)
    bench.orders = bench.started()
    await bench.open()
    assert len(bench.times) == 1
    await bench.pass_time(3 * DAY, step=60)
    pauses = [later - earlier for earlier, later in zip(bench.times, bench.times[1:], strict=False)]
    expected = [FIRST_PAUSE * 2**n for n in range(len(pauses))]
    for pause, least in zip(pauses, expected, strict=True):
        assert min(least, LONGEST_PAUSE) <= pause <= min(least, LONGEST_PAUSE) + 120
    assert len(pauses) > 6
    bench.company.refusal = ""
    await bench.pass_time(DAY)
    state = bench.ordered.state("one.example")
    assert state is not None
    assert (state.failures, state.problem, bench.taken) == (0, "", 1)


async def test_a_domain_that_fails_keeps_no_other_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example", "two.example")
    bench.company.refusal = "no"
    await bench.open()
    assert sorted(names for _, names in bench.company.orders) == [("one.example",), ("two.example",)]


@pytest.mark.parametrize("moment", ["privkey.pem", "fullchain.pem", "link"])
async def test_a_crash_while_a_certificate_is_put_in_place_leaves_a_pair_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    bench = Bench(tmp_path, "one.example")
    await bench.open()
    pair = bench.ordered.pair("one.example")
    assert pair is not None
    before = pair.certificate.read_bytes()
    replace = Path.replace

    def crash(path: Path, target: Path) -> Path:
        if target.name == moment or (moment == "link" and path.name == "new"):
            raise OSError(5, "the power went")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", crash)
    issued = bench.company.order(["one.example"])
    with pytest.raises(OSError, match="power"):
        bench.ordered.keep("one.example", issued.chain, issued.key)
    monkeypatch.undo()
    assert pair.certificate.read_bytes() == before
    assert certificates.make_context(pair)
    bench.ordered.keep("one.example", issued.chain, issued.key)
    assert pair.certificate.read_bytes() == issued.chain
    assert certificates.make_context(pair)
    kept = [each for each in (tmp_path / "certificates/.acme/one.example").iterdir() if each.is_dir()]
    assert len(kept) <= 2


async def test_check_tells_of_an_order_that_has_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "one.example", "two.example")
    await bench.open()
    bench.company.refusal = "too many orders"
    await bench.orders.renew("two.example")
    found = list(
        check_certificates.found(bench.configuration(), datetime.fromtimestamp(bench.clock.now(), UTC))
    )
    [told] = [each for each in found if each.status == "warn"]
    assert (
        told.text
        == "two.example got none from https://acme-v02.api.letsencrypt.org/directory: too many orders"
    )
    assert told.mend.startswith("it is ordered again at 2026-01-01 00:15 UTC")
    one = certificates.pairs_of(bench.configuration())["one.example"]
    assert certificates.renewal_of(one).startswith("it is renewed by itself")
