"""Failures: what stores and features raise, in the words of operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tidings.base.errors import BackendError, StanzaError
from tidings.operations.context import Caller, Role
from tidings.operations.errors import DATABASE_SILENT, Code, OperationError


@contextmanager
def told(caller: Caller) -> Iterator[None]:
    """Say what stores and features raise in the words of operations.

    What a store says may name the database, its host and its user: that is for the operator alone.
    """
    try:
        yield
    except BackendError as error:
        said = str(error) if caller.role is Role.OPERATOR else DATABASE_SILENT
        raise OperationError("unavailable", said) from error
    except StanzaError as error:
        raise OperationError(_CODES.get(error.condition, "not-allowed"), str(error)) from error


_CODES: Final[Mapping[str, Code]] = {
    "bad-request": "invalid",
    "conflict": "conflict",
    "item-not-found": "not-found",
    "jid-malformed": "invalid",
    "not-acceptable": "invalid",
    "recipient-unavailable": "not-found",
    "remote-server-not-found": "not-found",
    "resource-constraint": "unavailable",
    "service-unavailable": "unavailable",
    "internal-server-error": "unavailable",
}
