"""How an operation says no: a code that programs read and a sentence that people read."""

from typing import Final, Literal

from tidings.base.errors import TidingsError

Code = Literal["invalid", "not-found", "conflict", "not-allowed", "unavailable"]

CODES: Final[dict[Code, str]] = {
    "invalid": "a value of the request is not what it has to be",
    "not-found": "what the request names does not exist",
    "conflict": "something of that name exists already, or what holds stands against it",
    "not-allowed": "the caller may not do this, or not to this account",
    "unavailable": "the server or its database cannot do this now",
}
"""Every code and what it means."""


DATABASE_SILENT: Final = "the database does not answer; try again later"
"""What all but the operator are told, who may not learn which database that is, where, or why."""


class OperationError(TidingsError):
    """The operation was refused or failed, and changed nothing."""

    def __init__(self, code: Code, text: str, *, reason: str = "") -> None:
        super().__init__(text)
        self.code: Code = code
        self.text = text
        self.reason = reason
        """What MongooseIM calls it in GraphQL, such as `room_not_found`; empty where it has none."""
