"""What a mechanism says after each message: go on, ask the world, done, or refused.

The server's mechanisms answer every message with one of these values and never look anything up themselves.
"""

from enum import StrEnum
from typing import TypeAlias

import msgspec


class Condition(StrEnum):
    """Why a log-in is refused: the SASL failure conditions of RFC 6120 §6.5."""

    ABORTED = "aborted"
    ACCOUNT_DISABLED = "account-disabled"
    CREDENTIALS_EXPIRED = "credentials-expired"
    ENCRYPTION_REQUIRED = "encryption-required"
    INCORRECT_ENCODING = "incorrect-encoding"
    INVALID_AUTHZID = "invalid-authzid"
    INVALID_MECHANISM = "invalid-mechanism"
    MALFORMED_REQUEST = "malformed-request"
    MECHANISM_TOO_WEAK = "mechanism-too-weak"
    NOT_AUTHORIZED = "not-authorized"
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure"


class Challenge(msgspec.Struct, frozen=True):
    """Send these octets to the client and wait for its response."""

    data: bytes


class NeedKeys(msgspec.Struct, frozen=True):
    """Find the SCRAM keys of this user, as the client wrote the name."""

    username: str
    authzid: str


class NeedPassword(msgspec.Struct, frozen=True):
    """Find out whether this is the user's password."""

    username: str
    authzid: str
    password: str


class NeedTokens(msgspec.Struct, frozen=True):
    """Find the tokens of this user and device."""

    username: str


class NeedAccount(msgspec.Struct, frozen=True):
    """Find out whether the certificate is for this account, and the account exists."""

    authzid: str


class Success(msgspec.Struct, frozen=True):
    """The client is who it says; `data`, where there is any, goes with the good news."""

    data: bytes | None = None


class Failure(msgspec.Struct, frozen=True):
    """The client is refused, for a reason that tells it nothing it could use."""

    condition: Condition
    text: str = ""


Question: TypeAlias = NeedKeys | NeedPassword | NeedTokens | NeedAccount
Step: TypeAlias = Challenge | Question | Success | Failure


class MechanismError(Exception):
    """The server's part of a mechanism is wrong: it may be an impostor, so the client must not go on."""
