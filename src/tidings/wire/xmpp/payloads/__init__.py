"""Codecs of stanza payloads, one file per document, for server and client."""
