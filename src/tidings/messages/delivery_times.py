"""Delivery times: how long a message takes from its submission to the sockets of its recipient.

The pipeline times the first message of one batch in `DELIVERY_SAMPLE`; the others cost a count.
"""

from __future__ import annotations

import asyncio

from tidings.kernel.telemetry import Telemetry
from tidings.messages.submission import Submission


def note_delivery(submission: Submission, telemetry: Telemetry) -> None:
    """Count how long a message took that was timed, unless it was for nobody who is connected here."""
    since, now = submission.timed_since, telemetry.now
    if since is not None and submission.sent_to:
        # Connections write what they were given at the end of this turn of the event loop.
        asyncio.get_running_loop().call_soon(lambda: telemetry.delivery_seconds.add(now() - since))
