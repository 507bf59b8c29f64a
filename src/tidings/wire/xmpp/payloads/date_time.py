"""XMPP Date and Time Profiles: moments as whole microseconds since 1970, UTC (XEP-0082 1.1.1).

Microseconds are what an archive keeps; a float could not carry them without loss. Left out: the profiles Date
and Time, and the formats of §4 (Migration). A fraction finer than a microsecond is cut off (§3.2: it may be).
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError

_DATE_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,24})?"
    r"(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def read_date_time(text: str, what: str) -> int:
    """Return the microseconds since 1970 of a DateTime in any zone (§3.2), or raise `bad-request`.

    The years are 1 to 9999, in UTC.
    """
    if _DATE_TIME.fullmatch(text):
        try:
            moment = (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
        except ValueError:
            moment = LATEST + 1  # the thirtieth of February and its like
        if EARLIEST <= moment <= LATEST:
            return moment
    raise StanzaError("bad-request", f"{what} must be a time such as 2010-07-10T23:08:25Z")


def format_date_time(moment: int) -> str:
    """Write microseconds since 1970 in UTC, with six digits of a second's fraction where there is one."""
    seconds, fraction = divmod(moment, SECOND)
    return f"{_second(seconds)}.{fraction:06d}Z" if fraction else f"{_second(seconds)}Z"


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
