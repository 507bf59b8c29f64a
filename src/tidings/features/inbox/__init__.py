"""The inbox of an account: its conversations with their last message, unread count and place."""

from tidings.features.inbox.conversation import Conversations
from tidings.features.inbox.service import BinCleaning, Inbox, InboxOptions, StandardInbox, empty

__all__ = ["BinCleaning", "Conversations", "Inbox", "InboxOptions", "StandardInbox", "empty"]
