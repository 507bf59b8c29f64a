"""Shared groups as ejabberd keeps them: `sr_group` has the options of each, `sr_user` who is in one."""

from __future__ import annotations

from tidings.portable.ejabberd.terms import Term
from tidings.portable.ejabberd.values import text_of


def label_of(options: Term) -> str:
    """Give what clients show as the group, from its options; earlier versions called it `name`."""
    found: dict[str, str] = {}
    for option in options if isinstance(options, list) else ():
        match option:
            case (str() as key, bytes() as value):
                found[key] = text_of(value)
    return found.get("label") or found.get("name") or ""
