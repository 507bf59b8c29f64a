"""Every reason has words, and somebody gives it."""

from pathlib import Path

import tidings
from tidings.kernel.reasons import Reason

SOURCES = [path.read_text(encoding="utf-8") for path in Path(tidings.__file__).parent.rglob("*.py")]


def test_every_reason_is_a_sentence_of_its_own():
    assert len({reason.value for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert len(reason.value.split()) > 3, reason
        assert reason.value[0].islower(), reason
        assert reason.value[-1] not in ".:;", reason


def test_every_reason_is_given_by_somebody():
    for reason in Reason:
        assert any(f"Reason.{reason.name}" in source for source in SOURCES), reason
