"""One folder per technology, one file per port."""
