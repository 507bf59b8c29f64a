"""Tables for people: columns that fit the terminal, and colour where a terminal wants it.

What comes from clients is shown without the characters that a terminal would obey.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TextIO

GAP: Final = 2
_LINKS: Final = ("https://", "http://", "xmpp:")  # texts that begin so are not folded
_ADDRESS: Final = 25  # what most addresses and all times need
_NARROWEST: Final = 8  # columns are not made narrower than this, even where the table does not fit
_LEAST_COLUMNS: Final = 4  # what is left where columns are left out
_LEAST_ROWS: Final = 4  # fewer are read as easily one below the other, with all that there is

BOLD: Final = "1"
DIM: Final = "2"
RED: Final = "1;31"
GREEN: Final = "32"
YELLOW: Final = "33"


class Cell(NamedTuple):
    """A text of a table, and how a terminal shows it."""

    text: str
    style: str = ""


def is_coloured(stream: TextIO) -> bool:
    """Tell whether what is written there may have colours: on a terminal, unless NO_COLOR says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_table(rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows in columns, folded to the width of the terminal; anything else gets whole lines."""
    _print(lines(rows, _terminal_width(), coloured=is_coloured(sys.stdout)))


def print_headed(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, whole: bool = False
) -> Sequence[str]:
    """Print rows below headings; give the headings of those columns that a narrow terminal has no room for.

    Where too few columns would be left, or rows are few, or all columns are wanted (`whole`), a narrow
    terminal shows one row below the other instead.
    """
    width = _terminal_width()
    count = len(headings) if whole else columns_shown(headings, rows, width)
    shown = headed_lines(
        headings[:count], [row[:count] for row in rows], width, coloured=is_coloured(sys.stdout)
    )
    _print(shown)
    return headings[count:]


def columns_shown(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> int:
    """Tell how many columns, from the left, can be read in so much room; all where a list is short."""
    if width is None or len(rows) < _LEAST_ROWS:
        return len(headings)
    wanted = _widths(_texts([[Cell(text) for text in row] for row in (headings, *rows)]))
    counts = range(len(headings), _LEAST_COLUMNS - 1, -1)
    return next((count for count in counts if _is_readable(wanted[:count], width)), len(headings))


def headed_lines(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, *, coloured: bool
) -> Iterator[str]:
    """Lay out rows in columns with headings, or, where columns would be torn to shreds, as records."""
    table = [[Cell(heading, BOLD) for heading in headings], *([Cell(text) for text in row] for row in rows)]
    if width is None or _is_readable(_widths(_texts(table)), width):
        yield from lines(table, width, coloured=coloured)
        return
    for number, row in enumerate(rows):
        if number:
            yield ""
        named = zip(headings, row, strict=True)
        record = [[Cell(heading, BOLD), Cell(text)] for heading, text in named if text]
        yield from lines(record, width, coloured=coloured)


def lines(rows: Sequence[Sequence[Cell]], width: int | None, *, coloured: bool) -> Iterator[str]:
    """Lay out rows in columns; where there is a width, the widest columns are folded until they fit."""
    texts = _texts(rows)
    widths = _widths(texts)
    if width is not None:
        _fit(widths, width)
    for row, cells in zip(rows, texts, strict=True):
        folded = [_fold(cell, room) for cell, room in zip(cells, widths, strict=True)]
        for number in range(max(map(len, folded))):
            parts = [
                _styled(cell[number] if number < len(cell) else "", room, each.style if coloured else "")
                for cell, room, each in zip(folded, widths, row, strict=True)
            ]
            yield (" " * GAP).join(parts).rstrip()


def _is_readable(wanted: Sequence[int], width: int) -> bool:
    """Tell whether no column has to become narrower than an address or a time is."""
    widths = list(wanted)
    _fit(widths, width)
    return all(got >= min(each, _ADDRESS) for got, each in zip(widths, wanted, strict=True))


def _print(shown: Iterator[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in shown)


def _terminal_width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _texts(rows: Sequence[Sequence[Cell]]) -> list[list[list[str]]]:
    """Give the lines of every cell, as they can be shown."""
    return [[printable(cell.text).split("\n") for cell in row] for row in rows]


def _widths(texts: list[list[list[str]]]) -> list[int]:
    """Give how wide each column would be."""
    return [max(_width(line) for cell in column for line in cell) for column in zip(*texts, strict=True)]


def _fit(widths: list[int], width: int) -> None:
    """Take from the widest columns what does not fit."""
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    while excess > 0 and max(widths) > _NARROWEST:
        widest = widths.index(max(widths))
        second = max((each for each in widths if each < widths[widest]), default=_NARROWEST)
        taken = min(excess, widths[widest] - max(min(second, widths[widest] - 1), _NARROWEST))
        widths[widest] -= taken
        excess -= taken


def _fold(cell: list[str], room: int) -> list[str]:
    if all(_width(line) <= room for line in cell):
        return cell
    import textwrap  # noqa: PLC0415  # most tables fit

    wrapper = textwrap.TextWrapper(room, break_on_hyphens=False)
    return [part for line in cell for part in ([line] if _is_link(line) else wrapper.wrap(line) or [""])]


def _is_link(text: str) -> bool:
    """Tell whether a text is a link, which people copy: the terminal wraps it without breaking it."""
    return text.startswith(_LINKS) and " " not in text


def _styled(text: str, room: int, style: str) -> str:
    padding = " " * (room - _width(text))
    return f"\x1b[{style}m{text}\x1b[0m{padding}" if style and text else text + padding


def _width(text: str) -> int:
    """Tell how many columns a terminal needs for a text."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )


def printable(text: str) -> str:
    """Write what a terminal would obey as text."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )
