"""BOSH from the connection manager's side: the wrapper in `body`, the rules of a session in `session`."""

from tidings.wire.xmpp.bosh.body import BindingError, Body, Condition, read_body, write_body
from tidings.wire.xmpp.bosh.events import Answer, Closed, Ending, Event, Opened, Received, Restarted
from tidings.wire.xmpp.bosh.options import BoshOptions
from tidings.wire.xmpp.bosh.session import BoshSession, State
from tidings.wire.xmpp.bosh.terms import CONTENT_TYPE, Terms

__all__ = [
    "CONTENT_TYPE",
    "Answer",
    "BindingError",
    "Body",
    "BoshOptions",
    "BoshSession",
    "Closed",
    "Condition",
    "Ending",
    "Event",
    "Opened",
    "Received",
    "Restarted",
    "State",
    "Terms",
    "read_body",
    "write_body",
]
