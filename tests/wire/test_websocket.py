"""Frames of RFC 6455: what is read, however it is cut, and what is refused."""

from __future__ import annotations

import random

import pytest

from tidings.wire.websocket import (
    Close,
    CloseCode,
    FrameReader,
    Ping,
    Pong,
    write_close,
    write_ping,
    write_pong,
    write_text,
)

LIMIT = 100_000


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    key = b"\x37\xfa\x21\x3d"  # that of the examples in RFC 6455 §5.7
    length = len(payload)
    head = bytes([(0x80 if fin else 0) | reserved | opcode])
    mask = 0x80 if masked else 0
    if length < 126:
        head += bytes([mask | length])
    elif length < 65_536:
        head += bytes([mask | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([mask | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + key + bytes(octet ^ key[number % 4] for number, octet in enumerate(payload))


SCRIPT = [
    (frame(1, b"<open/>"), b"<open/>"),
    (frame(9, b"hi"), Ping(b"hi")),
    (frame(1, "<a>žluť</a>".encode()), "<a>žluť</a>".encode()),
    (frame(1, b"<b>", fin=False) + frame(0, b"x" * 300, fin=False), None),
    (frame(10), Pong(b"")),
    (frame(0, b"</b>"), b"<b>" + b"x" * 300 + b"</b>"),
    (frame(1, b"y" * 70_000), b"y" * 70_000),
    (frame(1), b""),
    (frame(8, b"\x03\xe8bye"), Close(1000)),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10**6])
def test_messages_are_the_same_however_they_are_cut(size):
    octets = b"".join(raw for raw, _ in SCRIPT)
    reader = FrameReader(LIMIT)
    received = []
    for start in range(0, len(octets), size):
        received += reader.feed(octets[start : start + size])
    assert received == [expected for _, expected in SCRIPT if expected is not None]
    assert reader.failure is None


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(2, b"binary"), CloseCode.UNSUPPORTED_DATA),
        (frame(1, b"text", masked=False), CloseCode.PROTOCOL_ERROR),
        (frame(1, b"text", reserved=0x40), CloseCode.PROTOCOL_ERROR),
        (frame(3), CloseCode.PROTOCOL_ERROR),
        (frame(11), CloseCode.PROTOCOL_ERROR),
        (frame(0, b"no beginning"), CloseCode.PROTOCOL_ERROR),
        (frame(1, b"a", fin=False) + frame(1, b"b"), CloseCode.PROTOCOL_ERROR),
        (frame(9, b"x" * 126), CloseCode.PROTOCOL_ERROR),
        (frame(9, b"x", fin=False), CloseCode.PROTOCOL_ERROR),
        (frame(8, b"\x03"), CloseCode.PROTOCOL_ERROR),
        (frame(8, (1005).to_bytes(2, "big")), CloseCode.PROTOCOL_ERROR),
        (frame(8, (999).to_bytes(2, "big")), CloseCode.PROTOCOL_ERROR),
        (frame(1, b"x" * (LIMIT + 1)), CloseCode.TOO_BIG),
        (b"\x81\xff" + (2**64 - 1).to_bytes(8, "big") + b"mask", CloseCode.TOO_BIG),
        (frame(1, b"x" * LIMIT, fin=False) + frame(0, b"x"), CloseCode.TOO_BIG),
        (frame(1, b"", fin=False) + frame(0, b"", fin=False) * 2000, CloseCode.POLICY_VIOLATION),
    ],
)
def test_a_broken_frame_ends_the_reading_after_what_came_before(raw, code):
    reader = FrameReader(LIMIT)
    assert reader.feed(frame(1, b"before") + raw + frame(1, b"after")) == [b"before"]
    assert reader.failure is not None
    assert reader.failure.code == code
    assert reader.feed(frame(1, b"later")) == []


def test_a_frame_that_is_announced_too_big_is_refused_by_its_head():
    reader = FrameReader(LIMIT)
    reader.feed(frame(1, b"x" * (LIMIT + 1))[:14])
    assert reader.failure is not None


def test_what_is_written_can_be_read():
    for payload in (b"", b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536):
        raw = write_text(payload)
        length = raw[1]
        head = 2 + (2 if length == 126 else 8 if length == 127 else 0)
        announced = int.from_bytes(raw[2:head], "big") if head > 2 else length
        assert (raw[0], announced, raw[head:]) == (0x81, len(payload), payload)
    assert write_ping(b"a") == b"\x89\x01a"
    assert write_pong(b"a") == b"\x8a\x01a"
    assert write_close(1000, "bye") == b"\x88\x05\x03\xe8bye"
    assert len(write_close(1008, "x" * 500)) == 127


def test_nonsense_never_raises():
    chance = random.Random(7395)
    for _ in range(300):
        reader = FrameReader(1000)
        for _ in range(10):
            reader.feed(chance.randbytes(chance.randrange(1, 40)))
