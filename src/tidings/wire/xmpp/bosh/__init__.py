"""BOSH from the connection manager's side: the wrapper in `body`, the rules of a session in `session`."""

from tidings.wire.xmpp.bosh.body import BindingError, Body, TerminalCondition, read_body, write_body
from tidings.wire.xmpp.bosh.events import Answer, Closed, Ending, Event, Opened, Received, Restarted
from tidings.wire.xmpp.bosh.options import BoshOptions
from tidings.wire.xmpp.bosh.session import BoshSession, BoshState
from tidings.wire.xmpp.bosh.terms import CONTENT_TYPE, Terms

__all__ = [
    "CONTENT_TYPE",
    "Answer",
    "BindingError",
    "Body",
    "BoshOptions",
    "BoshSession",
    "BoshState",
    "Closed",
    "Ending",
    "Event",
    "Opened",
    "Received",
    "Restarted",
    "TerminalCondition",
    "Terms",
    "read_body",
    "write_body",
]
