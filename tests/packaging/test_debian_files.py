"""What the Debian package brings: a configuration that loads with all that it suggests, and sound scripts."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tidings.app import config
from tidings.app.known_features import known_features

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "packaging/debian"
SCRIPTS = [
    path
    for path in sorted((ROOT / "packaging").rglob("*"))
    if path.is_file() and path.read_text().startswith(("#!/bin/sh", "#!/usr/bin/env bash"))
]


def test_the_configuration_loads_as_it_is() -> None:
    read = config.load(FOLDER / "tidings.toml", {}, {}, known_features())
    assert (read.server.data_dir, read.domains) == ("/var/lib/tidings", ("localhost",))
    assert read.database_url == "sqlite:////var/lib/tidings/tidings.sqlite"


def test_the_configuration_loads_with_all_that_it_suggests(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", (FOLDER / "tidings.toml").read_text(), flags=re.MULTILINE)
    (tmp_path / "tidings.toml").write_text(text)
    (tmp_path / "database-url").write_text("postgresql://tidings:password@localhost/tidings")
    read = config.load(
        tmp_path / "tidings.toml", {"CREDENTIALS_DIRECTORY": str(tmp_path)}, {}, known_features()
    )
    assert read.listen.https.port == 443
    assert read.server.admins == ("alice@example.org",)
    assert read.database_url.startswith("postgresql://")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_can_be_run(script: Path) -> None:
    shell = "sh" if script.read_text().startswith("#!/bin/sh") else "bash"
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)


def test_a_certificate_of_no_domain_of_ours_is_left_alone() -> None:
    """The hook runs after every renewal on the machine, and most are those of web servers."""
    variables = {"RENEWED_DOMAINS": "a.example b.example", "RENEWED_LINEAGE": "/nowhere"}
    done = subprocess.run(
        [FOLDER / "certbot-hook"], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
