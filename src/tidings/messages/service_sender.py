"""Service sender: brings messages of the outbox to the services that answer for their domains."""

from __future__ import annotations

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.outbox import SendReport
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.ports.ledger.outbox import OutboxId, OutboxRow
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.stanza import Stanza


class ServiceSender:
    """A `RemoteSender` over the router's services: a service has a stanza once it has taken it."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def send(self, domain: str, rows: tuple[OutboxRow, ...]) -> SendReport:
        """Hand over one message after another, up to the first that cannot be handed over now."""
        if not self._router.has_way_to(domain):
            raise BackendError(f"nobody answers for {domain} now")
        taken: list[OutboxId] = []
        refused: list[tuple[OutboxId, StanzaError]] = []
        for row in rows:
            stanza = _stanza(row)
            assert stanza.to is not None
            try:
                await until_done(self._router.pass_on(stanza, stanza.to))
            except StanzaError as error:
                refused.append((row.id, error))
            except (BackendError, OSError) as error:
                if taken or refused:
                    break
                raise BackendError(f"{domain}: {error}") from error
            else:
                taken.append(row.id)
        return SendReport(tuple(taken), tuple(refused))

    async def give_back(self, row: OutboxRow, error: StanzaError) -> None:
        """Tell the sender: a local account has it in its archive, for all of its devices."""
        stanza = _stanza(row)
        sender, recipient = stanza.sender, stanza.to
        if sender is None or recipient is None or sender.domain not in self._router.hosts:
            self._router.refuse(stanza, error)
            return
        failure = stanza.error(error).replace(to=sender.bare)
        origin = self._router.origin_of(recipient, Via.SELF)
        origin.outbox_id = str(row.id)
        await self._router.send(origin, [failure])


def _stanza(row: OutboxRow) -> Stanza:
    stanza = kept(row.body)
    return stanza.addressed(Jid(row.recipient)) if row.recipient else stanza
