"""Operations take whatever a person or a script gives them: they do it, or say what is wrong with it."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from tests.operations.test_catalogue import EVERY, LOCAL, answers_of, arguments_about, everything
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError

__all__ = ["everything"]

NUMBERS = (-1, 0, 2**31, 2**63, 10**30, 1.5, float("inf"), True, None)
ADDRESSES = ("", "@", "localhost", "alice@localhost/x", " alice@localhost", "ALICE@LOCALHOST", "a" * 1_024)
TIMES = ("2026-13-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1e400")
PLACES = ("-1-1", "0-0", "999999999999999999999-1", "a-99999999999999999999", "0k3f9-18446744073709551616")
TEXTS = (" ", "\n", "../..", "%s", "'\"", "x" * 70_000, "\u202e\u2028", "\U0001f600", "٣")
STANZAS = (
    "<iq/>",
    f"<message to='bob@localhost' xml:lang='{'x' * 500}'/>",
    "<message to='bob@localhost' type='error'/>",
    "<presence to='bob@localhost'/>",
    "<presence type='probe' to='bob@localhost'/>",
    "<iq type='get' id='1' to='bob@localhost/x'/>",
    "<iq type='result' id='1' to='bob@localhost/x'/>",
    "<iq type='set' id='1' to='localhost' from='alice@localhost'><query xmlns='jabber:iq:roster'/></iq>",
)
OTHERS = ([], {}, ["x"], ["alice@localhost"] * 3, {"a": {"b": [1]}})
ANYTHING = (*NUMBERS, *ADDRESSES, *TIMES, *PLACES, *TEXTS, *STANZAS, *OTHERS)


async def begin(context, found, arguments):
    """Call an operation, and read no more than the first answer: some go on as long as somebody reads."""
    if not found.is_stream:
        await answers_of(context, found, arguments)
        return
    async with contextlib.aclosing(
        CATALOGUE.stream(context, found.category, found.name, arguments)
    ) as answers:
        await anext(answers, None)


@pytest.mark.parametrize("found", EVERY)
async def test_whatever_stands_in_a_field_is_done_or_refused(everything, found):
    bare: list[object] = []
    for field in msgspec.structs.fields(found.request):
        for odd in ANYTHING:
            try:
                await begin(everything, found, {**arguments_about(LOCAL, found), field.name: odd})
            except OperationError as error:
                bare += [] if " " in error.text else [(field.name, odd, error.text)]
    assert bare == []  # each refusal is a sentence
    assert await everything.stores.accounts.count("other.test") == 1  # and nothing else has been hurt
