"""Nodes: collections of items that people publish, read and hear news of (XEP-0060, XEP-0163).

`rules.py` has who may do what, and `service.py` answers requests by them, for whatever owns nodes. What
accounts do beside that is in `personal.py`; `interests.py` finds out what clients want to hear of, and
`news.py` tells them.
"""

from tidings.features.nodes.interests import Interests
from tidings.features.nodes.personal import PersonalEventing

__all__ = ["Interests", "PersonalEventing"]
