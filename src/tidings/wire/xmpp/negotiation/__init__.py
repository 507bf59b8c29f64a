"""Stream negotiation as transition tables, for both roles and any framing (RFC 6120 §4-§7)."""
