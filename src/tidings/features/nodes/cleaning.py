"""Node cleaning: items whose time is over leave the disk, and subscriptions end that were made for a while.

Nobody is shown such an item before it goes. It goes with the next publication to its node, too; this is for
nodes to which nobody publishes any more. Several nodes of the server may do the same at the same time.
"""

from __future__ import annotations

from typing import Final

import structlog

from tidings.features.nodes.answers import standing_changed
from tidings.features.nodes.subscribers import Subscribers
from tidings.kernel.clock import Clock
from tidings.kernel.job import Job
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.supervisor import Supervisor
from tidings.messages.router import Router
from tidings.ports.nodes import NodeStore

log = structlog.get_logger("tidings.nodes")

FIRST_LOOK: Final = 30.0
"""Seconds after the start until something is looked for whose time is over."""
LOOK_INTERVAL: Final = 60.0
"""Seconds until it is done again."""
STEP: Final = 50
"""Nodes whose items are looked at in one step, and subscriptions that end in one."""
PAUSE: Final = 0.05
"""Seconds until the next step."""


class NodeCleaning:
    """Deletes what has expired at the nodes of all owners."""

    def __init__(
        self,
        store: NodeStore,
        router: Router,
        sessions: SessionManager,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._store = store
        self._clock = clock
        self._subscribers = Subscribers(router, sessions, clock)
        self._job = Job("node_cleaning", self._step, clock, supervisor)
        self._after = ""
        """The place behind which the next step goes on."""

    async def start(self) -> None:
        """Begin soon, with what came due while no server ran."""
        self._job.begin(FIRST_LOOK)

    def wind_down(self) -> None:
        """Delete nothing any more; the next start goes on."""
        self._job.stop()

    async def stop(self) -> None:
        """Delete nothing any more."""
        self.wind_down()

    async def _step(self) -> float:
        now = self._clock.now()
        gone, self._after = await self._store.delete_expired(now, after=self._after, limit=STEP)
        ended = await self._store.end_subscriptions(now, limit=STEP)
        if gone or ended:
            log.info("nodes_cleaned", items=gone, subscriptions=len(ended))
        for each in ended:
            await self._subscribers.tell_one(standing_changed(each.node, each.subscription, None))
        return PAUSE if self._after or len(ended) == STEP else LOOK_INTERVAL
