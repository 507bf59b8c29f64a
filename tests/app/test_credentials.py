"""Secrets in files of their own: read where systemd puts them, and what is wrong is told in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidings.app import config, permissions
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config

URL = "postgresql://tidings:s3cret@db.example/tidings"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "credentials"
    made.mkdir()
    return made


def load(tmp_path: Path, text: str, **environment: str) -> Config:
    (tmp_path / "tidings.toml").write_text(text)
    return config.load(tmp_path / "tidings.toml", environment)


def refused(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environment)
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def test_the_url_of_the_database_is_read_from_a_credential_of_the_service(
    tmp_path: Path, directory: Path
) -> None:
    (directory / "database-url").write_text(URL + "\n")
    text = '[database]\nurl_file = "$CREDENTIALS_DIRECTORY/database-url"\n'
    assert load(tmp_path, text, CREDENTIALS_DIRECTORY=str(directory)).database_url == URL
    told = refused(tmp_path, text)
    assert (
        "tidings.toml:2: `url_file` in [database] begins with $CREDENTIALS_DIRECTORY, which is not set"
        in told
    )


def test_a_key_may_be_a_credential_too(tmp_path: Path, directory: Path) -> None:
    text = '[tls]\ncertificate = "full.pem"\nkey = "$CREDENTIALS_DIRECTORY/key.pem"\n'
    read = load(tmp_path, text, CREDENTIALS_DIRECTORY=str(directory))
    assert (read.tls.certificate, read.tls.key) == (str(tmp_path / "full.pem"), str(directory / "key.pem"))


def test_a_variable_of_the_environment_may_name_the_file(tmp_path: Path, directory: Path) -> None:
    (directory / "url").write_text(URL)
    variables = {"TIDINGS_DATABASE__URL_FILE": "$CREDENTIALS_DIRECTORY/url"}
    assert load(tmp_path, "", CREDENTIALS_DIRECTORY=str(directory), **variables).database_url == URL


def test_a_file_beside_the_configuration_is_named_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    text = '[database]\nurl_file = "url"\n'
    assert load(tmp_path, text).database_url == URL
    (tmp_path / "url").chmod(0o644)
    told = [
        each for each in permissions.open_files(load(tmp_path, text)) if str(tmp_path / "url") in each.text
    ]
    assert [each.mend for each in told] == [f"chmod 600 {tmp_path / 'url'}"]
    (tmp_path / "url").chmod(0o600)
    assert not any("/url" in each.text for each in permissions.open_files(load(tmp_path, text)))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "url, which cannot be read: No such file or directory"),
        ("", "url, which has 0 lines; it must have one"),
        (f"{URL}\n{URL}\n", "url, which has 2 lines; it must have one"),
        ("oracle://db", "`url` in [database] must be memory: or begin with"),
    ],
)
def test_a_file_that_holds_no_url_is_told(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "url").write_text(content)
    assert told in refused(tmp_path, '[database]\nurl_file = "url"\n')


def test_a_url_and_a_file_with_one_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    told = refused(tmp_path, '[database]\nurl = "memory:"\nurl_file = "url"\n')
    assert "tidings.toml:3: `url` and `url_file` in [database] are both given" in told
