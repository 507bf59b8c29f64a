"""Nodes: collections of items that people publish, read and hear news of (XEP-0060, XEP-0163).

`rules.py` has who may do what, and `service.py` answers requests by them, for whatever owns nodes. Accounts
have nodes (`personal.py`), and so has a service of every domain (`pubsub.py`). `interests.py` finds out what
clients want to hear of, `news.py` tells them and an account's contacts, and `subscribers.py` who has
subscribed.
"""

from tidings.features.nodes.cleaning import NodeCleaning
from tidings.features.nodes.interests import Interests
from tidings.features.nodes.pending_command import PendingCommand
from tidings.features.nodes.personal import PersonalEventing
from tidings.features.nodes.pubsub import IDENTITY, PREFIX, PubSub

__all__ = [
    "IDENTITY",
    "PREFIX",
    "Interests",
    "NodeCleaning",
    "PendingCommand",
    "PersonalEventing",
    "PubSub",
]
