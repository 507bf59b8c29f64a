"""XMPP without sockets: stanzas, negotiation, SASL, BOSH and payloads."""
