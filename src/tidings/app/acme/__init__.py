"""Certificates that the server orders from an ACME authority (RFC 8555) and renews by itself."""
