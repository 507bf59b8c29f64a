"""A server whose configuration names a collector sends it traces of messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.bare_client import BareClient
from tests.harness.collector import collecting
from tests.harness.ports import HOST, free_port
from tests.harness.server_process import ServerProcess
from tidings.app import config
from tidings.app.config import ConfigError
from tidings.app.known_features import known_features


def write_a_note(server: ServerProcess) -> None:
    """Let somebody send himself a message, and see it arrive."""
    server.register("alice", "secret")
    client = BareClient(server)
    client.log_in("alice", "secret")
    client.say("<presence/><message to='alice@localhost' type='chat'><body>to remember</body></message>")
    assert "to remember" in client.hear("</message>")
    client.close()


def options(endpoint: str) -> str:
    return f'\n[telemetry]\notlp_endpoint = "{endpoint}"\nsample_ratio = 1.0\n'


def test_traces_reach_the_collector_that_the_configuration_names(tmp_path: Path) -> None:
    with collecting() as collector:
        server = ServerProcess.start(tmp_path, extra_configuration=options(collector.endpoint))
        try:
            write_a_note(server)
        finally:
            server.stop()
        [span] = collector.spans(1)
    assert span.steps == ["planned", "committed", "delivered"]
    assert b"alice" not in collector.octets
    assert b"to remember" not in collector.octets


def test_a_server_whose_collector_is_not_there_serves_and_stops_in_order(tmp_path: Path) -> None:
    endpoint = f"http://{HOST}:{free_port()}"
    server = ServerProcess.start(tmp_path, extra_configuration=options(endpoint))
    try:
        write_a_note(server)
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('otlp_endpoint = "127.0.0.1:4318"', "must be an address such as"),
        ("sample_ratio = 1.5", "sample_ratio"),
        ('addresses = "some"', "addresses"),
    ],
)
def test_mistakes_in_the_options_are_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(f"[telemetry]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        config.load(file, {}, {}, known_features())
