"""Reasons: why something became of a message, in the words that logs and `explain` show.

What a message is by itself is told by `wire/xmpp/classification.Rule`; this is what became of it among
accounts, devices and servers. Each is the end of a sentence about the message.
"""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """Why, in words."""

    UNPLANNED = "nothing has been planned yet"

    # --- who keeps it
    BOTH_KEEP = "both sides keep it"
    SENDER_KEEPS = "its sender keeps it; the recipient's domain has no archives, or nobody owns the address"
    RECIPIENT_KEEPS = "its recipient keeps it; its sender has no archive here, or wants none of it"
    OWN_NOTE = "a note to oneself is kept once"
    NOT_KEPT = "it is worth nothing later: it reaches who is there"
    OF_A_ROOM = "a room keeps what is said in it, an account does not"
    NOBODY_KEEPS = "neither side has an archive, or wants it: it reaches who is there"
    IGNORED = "nobody is there for it, and its sender need not know that (RFC 6121 §8.5)"
    COULD_NOT_ARRIVE = "what the account sent could not arrive, and all its devices are told so"
    IN_OUTBOX = "it waits in the outbox until the other server has it"
    FOR_SERVICE = "it is for the service itself, which reads it"
    STRAIGHT = "it is worth nothing later: it goes to the other server at once, or not at all"

    # --- why it was refused
    NOBODY_THERE = "nobody is there for it, and nobody keeps it (RFC 6121 §8.5)"
    NO_WAY = "nobody answers for that domain"
    NO_MESSAGES = "the domain itself reads no messages"
    UNSERVED = "the sender's domain is not served any more"
    USED_KEY = "another message was accepted under this key"
    TOO_STALE = "what guards had read changed again and again before it was stored"
    UNSTORABLE = "the database cannot hold it"
    SENDER_FULL = "its sender's archive has no room for it"
    RECIPIENT_FULL = "its recipient's archive has no room for it"
    NO_ANSWER = "the database did not answer in time"
    DROPPED = "it was dropped without a word"

    # --- whom it is for
    TO_RESOURCE = "it is for that resource (RFC 6121 §8.5.3.1)"
    TO_ALL = "it is for all resources that are available (RFC 6121 §8.5.2.1.1)"
    RESOURCE_GONE = "the resource that it is for is not there (RFC 6121 §8.5.3.2.1)"
    NOT_FOR_ALL = "a message of its type is for no account as a whole (RFC 6121 §8.5.2.1.1)"
    NONE_AVAILABLE = "no resource of the recipient is available (RFC 6121 §8.5.2.2.1)"

    # --- what became of it on the way
    REWRITTEN = "a decision has put another message in its place"
    STALE = "what guards had read has changed before it was stored: they were asked again"
    REPEATED = "the same was accepted before: nothing was stored or delivered a second time"
    ON_OTHER_NODE = "its account has sessions there, which that node serves"
    CATCHING_UP = "the device is reading what it missed, and gets it from the archive"
    SENT_ON = "the other server has it"
    GIVEN_BACK = "the other server could not be reached in time, or refused it: its sender was told"
    HELD_BACK = "the client is inactive, and this can wait (XEP-0352)"

    # --- copies
    COPIED = "the device has asked for copies (XEP-0280)"
    WANTS_NO_COPIES = "the device has not asked for copies (XEP-0280 §4)"
    OWN_MESSAGE = "the device has sent it"
    ARCHIVE_BRINGS_IT = "the device has not caught up yet, and the archive will bring it"
