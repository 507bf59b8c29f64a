"""The portable format of XMPP servers (XEP-0227 1.1), read and written some at a time."""

from tidings.kernel.feature import Spec

SPECS = (Spec.xep(227, "1.1", note="privacy lists as far as they are block lists"),)
"""What these files implement."""
