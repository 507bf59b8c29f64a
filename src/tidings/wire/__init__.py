"""Languages as machines without sockets: bytes and time in, events and bytes out."""
