"""Acknowledgement spans: of messages that are traced, it is told when a client has acknowledged them.

It is loaded where traces are sent to a collector, and nowhere else.
"""

from tidings.kernel.events import StanzasAcknowledged
from tidings.kernel.feature import Feature, listens
from tidings.messages.message_spans import MessageSpans


class AcknowledgementSpans(Feature):
    """Hears of acknowledgements (XEP-0198)."""

    def __init__(self, spans: MessageSpans) -> None:
        self._spans = spans

    @listens(StanzasAcknowledged)
    def acknowledged(self, event: StanzasAcknowledged) -> None:
        """Tell of the messages that a client has now."""
        self._spans.acknowledged(event.session, event.sent)
