"""Rows of accounts, as records of the port and back."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Row

from tidings.adapters.sql.tables import key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountRecord, AccountSummary, Ban, Removal, ScramKeys

encode_keys: Final = msgspec.json.Encoder().encode
decode_keys: Final = msgspec.json.Decoder(tuple[ScramKeys, ...]).decode

_NO_KEYS: Final = encode_keys(())


def row_of(record: AccountRecord) -> dict[str, object]:
    """Write an account as its row."""
    ban, removal = record.ban, record.removal
    return {
        "account": key_of(record.jid),
        "domain": record.jid.domain,
        "local": record.jid.local,
        "scram_keys": encode_keys(record.keys),
        "created": record.created,
        "ban_reason": None if ban is None else ban.reason,
        "banned_since": None if ban is None else ban.since,
        "last_activity": record.last_activity,
        "last_status": record.last_status,
        "removal_since": None if removal is None else removal.since,
        "removal_due": None if removal is None else removal.due,
    }


def record_of(jid: Jid, row: Row[Any]) -> AccountRecord:
    """Read the row of an account."""
    return AccountRecord(
        jid=jid,
        keys=decode_keys(row.scram_keys),
        created=row.created,
        ban=_ban(row),
        last_activity=row.last_activity,
        last_status=row.last_status,
        removal=_removal(row),
    )


def summary_of(row: Row[Any]) -> AccountSummary:
    """Read the row of an account with the sizes of its archive."""
    return AccountSummary(
        jid=Jid.of(row.local, row.domain),
        created=row.created,
        ban=_ban(row),
        last_activity=row.last_activity,
        removal=_removal(row),
        has_keys=row.scram_keys != _NO_KEYS,
        entries=row.entries or 0,
        octets=row.octets or 0,
    )


def _ban(row: Row[Any]) -> Ban | None:
    return None if row.banned_since is None else Ban(row.ban_reason, row.banned_since)


def _removal(row: Row[Any]) -> Removal | None:
    return None if row.removal_due is None else Removal(row.removal_since, row.removal_due)
