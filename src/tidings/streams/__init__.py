"""XMPP streams: connections, their negotiation and what listeners share."""
