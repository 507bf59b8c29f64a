"""Service Administration: what administrators find in their client, made from the operations catalogue."""

from collections.abc import Iterator

from tidings.base.jid import Jid
from tidings.gateways.administration.door import Door
from tidings.gateways.administration.generated import generated_commands
from tidings.gateways.administration.invitations import CreateAccount, InviteUser, invitation_commands
from tidings.gateways.administration.service import Ping, service_commands
from tidings.gateways.commands import AdHocCommand, CommandsFeature
from tidings.kernel.clock import Clock
from tidings.kernel.feature import Spec
from tidings.kernel.host import Host
from tidings.operations.catalogue import Catalogue
from tidings.operations.context import Context
from tidings.wire.xmpp import ns

__all__ = ["Administration", "Door", "commands_for"]


class Administration(CommandsFeature):
    """Offers the standard commands of XEP-0133, and every other operation under its own name."""

    spec = (
        Spec.xep(50, version="1.3.0", advertises=(ns.COMMANDS,)),
        Spec.xep(133, version="1.3.1"),
        Spec.xep(4, version="2.13.2", advertises=(ns.DATA_FORMS,)),
        Spec.xep(122, version="1.0.2"),
        Spec.xep(401, version="0.6.0"),
    )

    def __init__(self, host: Host, clock: Clock, context: Context, catalogue: Catalogue) -> None:
        commands = commands_for(Door(catalogue, context, host.domain))
        super().__init__(host, clock, (*commands, *invitation_commands(context, host)))

    def _may_run(self, asker: Jid, command: AdHocCommand) -> bool:
        """Let users invite, too, where the options say so."""
        if isinstance(command, InviteUser | CreateAccount):
            return command.is_for(asker)
        return super()._may_run(asker, command)


def commands_for(door: Door) -> Iterator[AdHocCommand]:
    """Give the commands of a domain: for everybody, the standard ones, and those for what they leave out."""
    yield Ping()
    yield from service_commands(door)
    yield from generated_commands(door)
