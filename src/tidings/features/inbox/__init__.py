"""The inbox of an account: its conversations with their last message, unread count and place."""

from tidings.features.inbox.bin_cleaning import BinCleaning
from tidings.features.inbox.conversation import Conversations
from tidings.features.inbox.fetch import Inbox
from tidings.features.inbox.options import InboxOptions
from tidings.features.inbox.standard import StandardInbox

__all__ = ["BinCleaning", "Conversations", "Inbox", "InboxOptions", "StandardInbox"]
