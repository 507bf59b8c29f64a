"""Domains that were served once: what is left of them can be seen and removed by who may act for all."""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.operations.context import Context


async def must_be_known(context: Context, subject: Jid | None) -> None:
    """Refuse what is about a domain that is not served and has no accounts from when it was."""
    if subject is None or subject.domain in context.domains:
        return
    if not await context.stores.accounts.count(subject.domain):
        raise context.not_served(subject.domain)
