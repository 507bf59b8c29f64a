"""Loading a library without what it would load besides."""

import sys

import pytest

from tidings.base.absent import absent


def test_a_package_is_not_found_while_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with absent("wave"), pytest.raises(ImportError):
        import wave  # noqa: F401
    import wave as found

    assert found.open


def test_what_is_loaded_already_stays() -> None:
    import json

    with absent("json"):
        assert sys.modules["json"] is json
    assert sys.modules["json"] is json
