"""What a server and its writer process say to each other: frames of msgpack over a socket.

A frame is its length in 4 octets, then the value. The first one from the server is a `WriterSetup`; those
that follow are lists of numbered batches. The process answers with `Answers`, in the order of the archives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tidings.ports.ledger.batch import Committed, LedgerBatch

_LENGTH: Final = struct.Struct(">I")


class WriterSetup(msgspec.Struct, frozen=True, array_like=True):
    """What the process is to open, and how."""

    url: str
    lock_seconds: float
    window_days: int
    patience: float
    queue_octets: int
    writes_as: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a batch: it is committed, or there is an error."""

    number: int
    committed: Committed | None
    error: str = ""
    is_bug: bool = False


class Counts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the process's writer stands."""

    batches: int
    transactions: int
    items: int
    last_seconds: float
    longest_seconds: float
    queue_length: int
    failures: int
    given_up: int
    trouble: str
    outage_seconds: float
    """How long the outage took that has just ended, else 0."""
    feed: int = 0
    """The number of its last transaction."""
    sent: int = 0
    """How many rows of the outbox it has written."""
    commits: list[int] = []
    """How many of its transactions fell into each bucket of their durations."""
    commit_seconds: float = 0.0
    """How long all its transactions took together."""


class Answers(msgspec.Struct, frozen=True, array_like=True):
    """A frame from the process; without answers it tells of trouble, or of its end."""

    answers: list[Answer]
    counts: Counts


Batches = list[tuple[int, LedgerBatch]]

_encode: Final = msgspec.msgpack.Encoder(enc_hook=str).encode  # a Jid goes as its text


def _read(kind: type[Any], value: Any) -> Any:  # noqa: ANN401  # whatever the decoder meets
    return kind(value)


def encode(value: object) -> bytes:
    """Write a frame."""
    raw = _encode(value)
    return _LENGTH.pack(len(raw)) + raw


decode_setup: Final[Callable[[bytes], WriterSetup]] = msgspec.msgpack.Decoder(WriterSetup).decode
decode_batches: Final[Callable[[bytes], Batches]] = msgspec.msgpack.Decoder(Batches, dec_hook=_read).decode
decode_answers: Final[Callable[[bytes], Answers]] = msgspec.msgpack.Decoder(Answers, dec_hook=_read).decode


class Cutter:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._gathered = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Give the frames that are complete, without their lengths."""
        gathered = self._gathered
        gathered += data
        frames = []
        start = 0
        while len(gathered) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(gathered, start)
            end = start + _LENGTH.size + length
            if end > len(gathered):
                break
            frames.append(bytes(gathered[start + _LENGTH.size : end]))
            start = end
        del gathered[:start]
        return frames
