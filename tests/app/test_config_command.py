"""`tidings config diff | preview | rollback`: what would change, and the way back."""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.server_process import ServerProcess
from tidings.app import admin_client, option_text, schema
from tidings.app.differences import is_taken
from tidings.app.known_features import known_features
from tidings.app.reload_parts import options_taken


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess.start(tmp_path)
    yield server
    server.stop_troubled()


def asked(server: ServerProcess, *words: str) -> tuple[int, dict[str, Any]]:
    done = server.command(*words, "--json")
    return done.returncode, json.loads(done.stdout or "{}")


def config_of(server: ServerProcess) -> Path:
    return server.directory / "tidings.toml"


def test_the_difference_is_told_option_by_option_and_secrets_are_not(server: ServerProcess) -> None:
    assert asked(server, "config", "diff") == (0, {"same": True, "differences": []})
    file = config_of(server)
    text = file.read_text()
    changed = text.replace("[server]\n", '[server]\ncreate_admins = ["carol:s3cret"]\n')
    changed += '\n[features]\ndisabled = ["last_activity"]\n'
    file.write_text(
        changed + '\n[limits]\nstanza_bytes = 20000\n[ledger]\nwait_seconds = 7\n[host."new.example"]\n'
    )
    code, answer = asked(server, "config", "diff")
    assert (code, answer["same"]) == (1, False)
    rows = {
        each["option"]: (each["in_use"], each["configured"], each["needs_restart"])
        for each in answer["differences"]
    }
    assert rows == {
        "[server] create_admins": ("(secret)", "(secret)", False),
        "[limits] stanza_bytes": ("262144", "20000", False),
        "[ledger] wait_seconds": ("10", "7", True),
        "[features] disabled": ("[]", '["last_activity"]', True),
        '[host."new.example"]': ("", "served", True),
    }
    assert "s3cret" not in server.command("config", "diff").stdout
    assert server.command("server", "reload").returncode == 0
    rest = asked(server, "config", "diff")[1]["differences"]
    assert [each["option"] for each in rest] == [
        "[ledger] wait_seconds",
        "[features] disabled",
        '[host."new.example"]',
    ]


def test_a_preview_tells_what_a_reload_does_and_does_nothing(server: ServerProcess) -> None:
    file = config_of(server)
    text = file.read_text()
    file.write_text(text + "\n[limits]\nstanza_bytes = 20000\n[ledger]\nwait_seconds = 7\n")
    code, answer = asked(server, "config", "preview")
    assert (code, answer["complete"], answer["problems"]) == (0, True, [])
    assert answer["done"] == [
        "certificates: 0 read anew, 1 unchanged",
        "[limits] stanza_bytes: 262144 → 20000",
    ]
    assert answer["needs_restart"] == ["[ledger] wait_seconds"]
    assert '"event": "reloaded"' not in server.log
    assert asked(server, "config", "preview") == (code, answer)
    assert asked(server, "server", "reload") == (code, answer)
    file.write_text(text + "\n[limits]\nstanza_bites = 20000\nconnections = -1\n")
    code, answer = asked(server, "config", "preview")
    assert (code, answer["complete"]) == (1, False)
    assert len(answer["problems"]) == 2
    assert "did you mean `stanza_bytes`?" in answer["problems"][0]


def test_what_cannot_be_used_is_told_by_a_preview_with_its_certificate(server: ServerProcess) -> None:
    server.authority.write_text("nothing")
    code, answer = asked(server, "config", "preview")
    assert code == 1
    assert "holds no certificate in PEM form" in answer["problems"][0]


def test_the_way_back_leads_from_one_good_file_to_the_one_before(server: ServerProcess) -> None:
    file = config_of(server)
    first = file.read_text()
    file.chmod(0o640)
    assert asked(server, "config", "rollback")[0] == 1  # there is nothing to go back to
    second = first + "\n[limits]\nstanza_bytes = 20000\n"
    for text in (second, second.replace("20000", "30000")):
        file.write_text(text)
        assert asked(server, "server", "reload")[0] == 0
    third = second.replace("20000", "30000")
    kept = sorted((server.directory / "data" / "configurations").iterdir())
    assert [path.read_text() for path in kept] == [first, second, third]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    code, answer = asked(server, "config", "rollback")
    assert (code, answer["complete"]) == (0, True)
    assert answer["done"][-1] == "[limits] stanza_bytes: 30000 → 20000"
    assert file.read_text() == second
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert Path(answer["refused"]).read_text() == third
    assert asked(server, "config", "diff")[1]["same"]
    assert asked(server, "config", "rollback")[1]["done"][-1] == "[limits] stanza_bytes: 20000 → 262144"
    assert file.read_text() == first


def test_a_file_that_is_no_toml_is_rolled_back_through_the_running_server(server: ServerProcess) -> None:
    file = config_of(server)
    good = file.read_text()
    file.write_text(good + "\n[limits\n")
    assert server.command("config", "preview").returncode == 2
    code, answer = asked(server, "config", "rollback")
    assert (code, file.read_text()) == (0, good)
    assert Path(answer["refused"]).read_text().endswith("[limits\n")
    assert '"event": "configuration_rolled_back"' in server.log


def test_an_earlier_file_that_cannot_be_used_any_more_changes_nothing(server: ServerProcess) -> None:
    file = config_of(server)
    good = file.read_text()
    bad = server.directory / "data" / "configurations" / "000001.toml"
    file.write_text(good + "\n# the same, with a word\n")
    assert server.command("server", "reload").returncode == 0
    present = file.read_text()
    bad.write_text("[limits]\nconnections = -1\n")
    done = server.command("config", "rollback")
    assert done.returncode == 1
    assert "everything stays as it is" in done.stderr
    assert file.read_text() == present
    assert not list(server.directory.glob("*.refused*"))


def test_without_a_server_the_file_is_put_back_for_the_next_start(server: ServerProcess) -> None:
    file = config_of(server)
    good = file.read_text()
    server.stop()
    file.write_text(good.replace('level = "debug"', 'level = "debug'))
    code, answer = asked(server, "config", "rollback")
    assert (code, file.read_text()) == (0, good)
    assert answer["done"] == ["the next start uses it; no server runs"]
    server.start_again()
    assert server.command("config", "diff").returncode == 0


def other_value(leaf: schema.Leaf, present: object) -> object:
    """Give a value of the option's kind that is another one."""
    choices = [choice for choice in leaf.choices if choice != present]
    if isinstance(present, bool):
        return not present
    if isinstance(present, int | float):
        return present + 1
    if isinstance(present, tuple):
        return [choices[0]] if choices else ["192.0.2.0/24"]
    return choices[0] if choices else "other"


SPECIAL = {
    "server.mechanisms": ["PLAIN"],
    "server.admins": ["carol@localhost"],
    "server.create_admins": ["carol:carol"],
    "server.domains": ["localhost", "more.example"],
    "server.authentication": "anonymous",
    "server.extensions": ["nothing_like_this"],
    "host.*.admins": ["carol"],
    "host.*.authentication": "anonymous",
    "host.*.sasl": False,
    "host.*.sasl2": False,
    "features.disabled": ["last_activity"],
    "host.*.features.disabled": ["last_activity"],
    "features.inbox.boxes": ["one"],
    "features.retention.room_keep_days": 30,
    "features.retention.room_keep_messages": 1_000,
    "features.retention.room_keep_octets": 1_000_000,
    "features.inbox.reset_markers": ["received"],
    "limits.outbound_total_bytes": 100_000_000,
    "features.external_services.services": [{"type": "stun", "host": "stun.example.org"}],
    "features.room_vcard.max_bytes": 16_384,
    "features.muc_light.config_schema": [{"field": "roomname", "string_value": "Untitled"}],
    "host.*.features.registration.open": False,
    **{f"listen.{name}.addresses": ["127.0.0.1"] for name in ("tcp", "tls", "http", "https")},
    "database.url": "sqlite:///other.sqlite",
    "http.origins": ["https://chat.example.org"],
    "http.public_url": "https://chat.example.org",
    "telemetry.otlp_endpoint": "http://127.0.0.1:4318",
    "telemetry.sample_ratio": 0.5,
    "host.*.certificate_names": ["www.example.org"],
    **{
        f"features.contact_addresses.{name}": ["mailto:admin@example.org"]
        for name in ("abuse", "admin", "feedback", "sales", "security", "status", "support")
    },
}
"""Values that need a form of their own."""
REFUSED = {
    "acme.enabled",
    "acme.key_file",
    "acme.key_id",
    "server.extensions",
    "tls.certificate",
    "tls.key",
    "host.*.certificate",
    "host.*.key",
    "database.url_file",
    "files.s3_secret_key_file",
}
"""Those of which a change by itself is a mistake: what is named is not there, or it is half of a pair."""


def test_every_option_is_taken_over_or_named_as_one_that_needs_a_restart(server: ServerProcess) -> None:
    known = known_features()
    root, taken = schema.build(known), options_taken(known.everywhere)
    file = config_of(server)
    text = file.read_text()
    written = tomllib.loads(text)
    looked_at = 0
    for pattern in option_text.patterns(root):
        if pattern in REFUSED:
            continue
        place = tuple("localhost" if part == "*" else part for part in pattern.split("."))
        entry: Any = root
        for part in place:
            entry = entry.step(part)
        present: Any = written
        for part in place:
            present = present.get(part, {}) if isinstance(present, dict) else {}
        if present == {}:
            present = entry.default
        generic = pattern.removeprefix("host.*.") if "features" in pattern else pattern
        value = SPECIAL.get(pattern, SPECIAL.get(generic, other_value(entry, present)))
        file.write_text(with_option(written, place, value))
        answer = admin_client.call(server.directory / "data/admin.sock", "config", "preview", {})
        assert answer["problems"] == [], (pattern, value)
        name = option_text.name(place)
        is_done = any(f"{each}: ".startswith(f"{name}: ") for each in answer["done"])
        is_named = name in answer["needs_restart"]
        assert (is_done, is_named) == (is_taken(place, taken), not is_taken(place, taken)), (pattern, answer)
        looked_at += 1
    assert looked_at > 150
    file.write_text(text)


def with_option(written: dict[str, Any], place: tuple[str, ...], value: object) -> str:
    """Write the configuration with another value of one option."""
    lines: list[str] = []
    changed = json.loads(json.dumps(written))
    table = changed
    for part in place[:-1]:
        table = table.setdefault(part, {})
    table[place[-1]] = value

    def section(name: str, values: dict[str, Any]) -> None:
        lines.append(f"[{name}]" if name else "")
        lines.extend(f"{key} = {inline(each)}" for key, each in values.items() if not isinstance(each, dict))
        for key, each in values.items():
            if isinstance(each, dict):
                quoted = json.dumps(key) if "." in key or "-" in key else key
                section(f"{name}.{quoted}".lstrip("."), each)

    section("", changed)
    return "\n".join(lines) + "\n"


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)
