"""The exit codes of the command `tidings`."""

from __future__ import annotations

from typing import Final

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3

EXIT_CODES: Final = {
    OK: "done; for a question, the answer is yes",
    REFUSED: "refused or failed; for a question, the answer is no",
    USAGE: "the command line or the configuration is wrong",
    UNREACHABLE: "the server or the database cannot be reached, or the operation needs a running server",
}
"""What each exit code of the command means."""
