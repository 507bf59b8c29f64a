"""XML as a stream of stanzas: incremental parser, element, writer."""
