"""Readdressing touches the addresses of the root alone."""

import pytest

from tidings.base.jid import Jid
from tidings.wire.xmpp.readdressing import readdressed

SMITH, BOB = Jid("smith@example.org"), Jid("bob@example.org")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<message from="a@example.org" to="b@x"/>',
            '<message from="smith@example.org" to="bob@example.org"/>',
        ),
        (
            '<message from="a@x/&amp;" to="b@x/r"><x from="a@x"/></message>',
            '<message from="smith@example.org/&amp;" to="bob@example.org/r"><x from="a@x"/></message>',
        ),
        ("<presence to='b@x' from='a@x'/>", "<presence to='bob@example.org' from='smith@example.org'/>"),
        ('<message type="chat"><x from="a@x"/></message>', '<message type="chat"><x from="a@x"/></message>'),
        ('<message id="1" to="b@x"/>', '<message id="1" to="bob@example.org"/>'),
        ("<message/>", "<message/>"),
        ("", ""),
    ],
)
def test_both_addresses_are_others(before: str, after: str) -> None:
    assert readdressed(before.encode(), sender=SMITH, to=BOB) == after.encode()


def test_one_of_them_can_stay() -> None:
    raw = b'<message from="a@x/r" to="b@x"/>'
    assert readdressed(raw, sender=SMITH) == b'<message from="smith@example.org/r" to="b@x"/>'
    assert readdressed(raw, to=BOB) == b'<message from="a@x/r" to="bob@example.org"/>'
    assert readdressed(raw) == raw


def test_what_has_the_addresses_is_not_written_anew() -> None:
    raw = b'<message from="smith@example.org/r" to="bob@example.org" type="chat"><body/></message>'
    assert readdressed(raw, sender=SMITH, to=BOB.with_resource("r")) is raw
    similar = raw.replace(b"smith@example.org/", b"smith@example.organic/")
    assert readdressed(similar, sender=SMITH, to=BOB) == raw
