"""The dashboard and the alert rules name metrics that there are; Prometheus understands and tries them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.bare_client import SASL, BareClient
from tests.harness.ports import HOST, free_ports
from tests.harness.server_process import ServerProcess
from tidings.app import reference

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
PAGE = ROOT / "docs/how-to/monitor.md"
SECONDS = 30

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Debian's prometheus is missing: run tests/install.sh"
)


def expressions() -> list[str]:
    """What the panels of the dashboard ask, with the variables of Grafana replaced."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [each.replace("$__rate_interval", "1m").replace("$instance", ".*") for each in asked]


def named(text: str) -> set[str]:
    """The metrics that an expression or a file names; those of a histogram by its name."""
    found = set(re.findall(r"\b(?:tidings|process|python)_[a-z_]+", text))
    return {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in found}


@pytest.fixture(scope="module")
def metrics() -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)` \|", reference.pages()["metrics.md"], re.MULTILINE))


def test_the_dashboard_names_metrics_that_there_are(metrics: set[str]) -> None:
    asked = expressions()
    assert len(asked) > 40
    assert named("\n".join(asked)) <= metrics
    variables = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))["templating"]["list"]
    assert named(json.dumps(variables)) <= metrics


def test_the_dashboard_has_panels_that_do_not_overlap_and_say_their_unit() -> None:
    panels = json.loads((MONITORING / "grafana.json").read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] != "row":
            unit = panel["fieldConfig"]["defaults"]["unit"]
            asked = " ".join(target["expr"] for target in panel["targets"])
            assert (unit == "s") == ("histogram_quantile" in asked), panel["title"]
            assert (unit == "bytes") == bool(re.search("_bytes[{]", asked)), panel["title"]


@pytest.mark.parametrize("name", ["alerts.yml", "alerts.test.yml"])
def test_the_rules_name_metrics_that_there_are(name: str, metrics: set[str]) -> None:
    found = named((MONITORING / name).read_text(encoding="utf-8"))
    assert found
    assert found <= metrics


def test_every_rule_is_tried() -> None:
    rules = re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text(encoding="utf-8"))
    tried = (MONITORING / "alerts.test.yml").read_text(encoding="utf-8")
    assert len(rules) > 10
    assert [rule for rule in rules if rule not in tried] == []


def promtool(*arguments: str, input: str | None = None) -> None:  # noqa: A002  # subprocess calls it so
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=MONITORING,
        input=input,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_rules_fire_when_they_should() -> None:
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts.test.yml")


# --- a Prometheus that reads a server, as the page says


class Prometheus:
    """Debian's Prometheus on a free port, which has read the server at least once."""

    def __init__(self, directory: Path, configuration: str) -> None:
        [self._port] = free_ports(1)
        (directory / "prometheus.yml").write_text(configuration, encoding="utf-8")
        self._log = (directory / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                f"--storage.tsdb.path={directory}/series",
                f"--web.listen-address={HOST}:{self._port}",
            ],
            cwd=directory,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def ask(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://{HOST}:{self._port}{path}?{query}", timeout=SECONDS) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        return list(self.ask("/api/v1/query", query=expression)["result"])

    def wait_for(self, expression: str) -> None:
        """Wait until the expression has a value."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                if self.query(expression):
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)  # there is no event to wait for in another process
        raise AssertionError(f"{expression} has no value after {SECONDS} s")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        self._log.close()


def make_traffic(server: ServerProcess) -> None:
    """Let there be something of everything that is counted by kind."""
    guesser = BareClient(server)
    guesser.hear("</stream:features>")
    guesser.say(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{'A' * 8}</auth>")
    guesser.hear("<failure")
    guesser.say("<unbalanced></stream:stream>")
    guesser.hear("</stream:stream>")
    guesser.close()
    alice = BareClient(server)
    alice.log_in("alice", "secret")
    alice.say("<presence/>")
    alice.hear("<presence")
    alice.say("<message to='alice@localhost' type='chat'><body>a note</body></message>")
    alice.hear("a note")
    alice.say("<iq type='get' id='1' to='localhost'><query xmlns='urn:of:nothing'/></iq>")
    alice.hear("service-unavailable")
    alice.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess.start(
        tmp_path_factory.mktemp("server"), environment={"TIDINGS_SERVER__MECHANISMS": "SCRAM-SHA-1,PLAIN"}
    )
    running.register("alice", "secret")
    make_traffic(running)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def prometheus(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    directory = tmp_path_factory.mktemp("prometheus")
    configuration = "".join(blocks)
    for said, here in (
        ("chat.example.org:5280", f"{HOST}:{server.http_port}"),
        ("/etc/prometheus/tidings-alerts.yml", str(MONITORING / "alerts.yml")),
        ("15s", "1s"),
    ):
        assert said in configuration
        configuration = configuration.replace(said, here)
    running = Prometheus(directory, configuration)
    running.wait_for("count_over_time(tidings_uptime_seconds[1m]) > 1")
    yield running
    running.stop()


@needs_prometheus
def test_prometheus_reads_the_server_as_the_page_says(prometheus: Prometheus) -> None:
    [up] = prometheus.query('up{job="tidings"}')
    assert up["value"][1] == "1"
    groups = prometheus.ask("/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == (MONITORING / "alerts.yml").read_text(encoding="utf-8").count("alert:")
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


@needs_prometheus
@pytest.mark.parametrize("expression", expressions())
def test_a_panel_is_understood_and_has_values(prometheus: Prometheus, expression: str) -> None:
    assert prometheus.query(expression)


@needs_prometheus
def test_promtool_finds_nothing_to_mend_in_the_figures(server: ServerProcess) -> None:
    with urllib.request.urlopen(f"http://{HOST}:{server.http_port}/metrics", timeout=SECONDS) as answer:
        promtool("check", "metrics", input=answer.read().decode())
