"""What the server asks of the world, as Protocols with frozen values; adapters answer."""
