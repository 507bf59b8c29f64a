"""What a scrape of a real server shows: all that the page lists, true figures, and no stranger's words."""

from __future__ import annotations

import base64
import re
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.bare_client import SASL, BareClient
from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess
from tidings.app import reference
from tidings.gateways.mongooseim_names import ALIASES

STRANGE = "zzz-strange"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess.start(
        tmp_path_factory.mktemp("metrics"),
        extra_configuration="[metrics]\nmongooseim_names = true\n",
        environment={"TIDINGS_SERVER__MECHANISMS": "SCRAM-SHA-1,PLAIN"},
    )
    server.register("alice", "secret")
    yield server
    server.stop()


def scrape(server: ServerProcess, accept: str = "text/plain") -> str:
    request = urllib.request.Request(f"http://{HOST}:{server.http_port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def families(server: ServerProcess) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(scrape(server))}


def value(server: ServerProcess, sample: str, **labels: str) -> float:
    found = [
        each.value
        for family in families(server).values()
        for each in family.samples
        if each.name == sample and labels.items() <= each.labels.items()
    ]
    return sum(found)


def test_the_page_lists_exactly_what_a_server_shows(served: ServerProcess) -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", reference.pages()["metrics.md"], re.MULTILINE)
    aliases = {alias.name for alias in ALIASES}
    shown = [
        (name, kind)
        for name, kind in re.findall(r"^# TYPE ([a-z_]+) (\w+)$", scrape(served), re.MULTILINE)
        if name not in aliases
    ]
    assert sorted(listed) == sorted(shown)
    assert len(listed) > 50


def test_every_metric_says_what_it_is_and_in_which_unit(served: ServerProcess) -> None:
    for name, family in families(served).items():
        assert len(family.documentation.split()) > 1, name
        if re.search(r"\b[Bb]ytes\b", family.documentation):
            assert "bytes" in name or name.startswith("process_")
        if family.documentation.startswith("How long"):
            assert name.endswith("_seconds"), name


def test_a_log_in_and_a_message_are_counted_and_timed(served: ServerProcess) -> None:
    before = {
        name: value(served, name)
        for name in (
            "tidings_login_seconds_count",
            "tidings_login_seconds_sum",
            "tidings_delivery_seconds_count",
            "tidings_ledger_commit_seconds_count",
        )
    }
    alice = BareClient(served)
    alice.log_in("alice", "secret")
    alice.say("<presence/>")
    alice.hear("<presence")
    for _ in range(16):
        alice.say("<message to='alice@localhost' type='chat'><body>a note</body></message>")
        alice.hear("a note")
    alice.close()
    after = {name: value(served, name) - was for name, was in before.items()}
    assert after["tidings_login_seconds_count"] == 1
    assert 0 < after["tidings_login_seconds_sum"] < 10
    assert after["tidings_delivery_seconds_count"] >= 1
    assert after["tidings_ledger_commit_seconds_count"] >= 1
    assert value(served, "tidings_ledger_commit_seconds_count") == value(
        served, "tidings_ledger_transactions_total"
    )


def test_both_processes_and_the_disk_are_measured(served: ServerProcess) -> None:
    assert value(served, "process_resident_memory_bytes") > 10_000_000
    assert value(served, "tidings_writer_resident_memory_bytes") > 10_000_000
    assert value(served, "tidings_writer_cpu_seconds_total") > 0
    assert 0 < value(served, "tidings_disk_free_bytes") < value(served, "tidings_disk_size_bytes")


def test_figures_are_given_under_mongooseims_names(served: ServerProcess) -> None:
    shown = families(served)
    for alias in ALIASES:
        [family] = [shown[alias.name]]
        [one] = family.samples
        assert one.labels == dict(alias.labels)
    assert value(served, "sm_session_logins") == value(served, "tidings_sessions_begun_total")
    message = value(served, "xmpp_element_in_message_count", connection_type="c2s")
    assert message == value(served, "tidings_stanzas_received_total", name="message")


def test_openmetrics_is_given_to_who_asks(served: ServerProcess) -> None:
    text = scrape(served, "application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    assert "tidings_sessions " in text


def test_no_label_is_in_a_strangers_hands(served: ServerProcess) -> None:
    for say in (
        f"<auth xmlns='{SASL}' mechanism='{STRANGE}'/>",
        f"<auth xmlns='{SASL}' mechanism='PLAIN'>"
        + base64.b64encode(f"\0{STRANGE}\0x".encode()).decode()
        + "</auth>",
        f"<{STRANGE} xmlns='urn:{STRANGE}'/>",
        f"<stream:error><{STRANGE} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        f"<{STRANGE}",
    ):
        wire = BareClient(served)
        wire.hear("</stream:features>")
        wire.say(say + "</stream:stream>")
        wire.hear("</stream:stream>")
        wire.close()
    elsewhere = BareClient(served, f"{STRANGE}.example")
    elsewhere.hear("</stream:stream>")
    elsewhere.close()
    alice = BareClient(served)
    alice.log_in("alice", "secret")
    for to in (f"{STRANGE}@localhost", f"a@{STRANGE}.example", f"alice@localhost/{STRANGE}"):
        alice.say(f"<message to='{to}' type='{STRANGE}'><{STRANGE} xmlns='urn:{STRANGE}'/></message>")
        alice.say(f"<message to='{to}' type='error'><error type='{STRANGE}'><{STRANGE}/></error></message>")
        alice.say(f"<iq type='get' id='{STRANGE}' to='{to}'><{STRANGE} xmlns='urn:{STRANGE}'/></iq>")
        alice.hear("</iq>")
    alice.say(f"<{STRANGE}/>")
    alice.hear("</stream:stream>")
    alice.close()
    after = scrape(served)
    assert value(served, "tidings_login_failures_total") >= 2
    assert value(served, "tidings_stream_errors_total") >= 2
    assert STRANGE not in after
