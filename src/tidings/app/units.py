"""Amounts as people read them: octets and durations with units that keep the numbers short."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000.0
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def octets(number: float) -> str:
    """Write a number of octets, such as `87.2 MB`."""
    for unit in _UNITS[:-1]:
        if number < _THOUSAND:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _THOUSAND
    return f"{number:.1f} {_UNITS[-1]}"


def duration(seconds: int) -> str:
    """Write a duration in its two largest units, such as `1 d 2 h`; what is less is left out."""
    days, rest = divmod(seconds, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
