"""The package of tests/extension, installed once."""

from pathlib import Path

import pytest

from tests.harness.extension import PACKAGE, install


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory that the word filter is installed in."""
    return install(PACKAGE, tmp_path_factory.mktemp("site"))
