"""The running server, which knows no feature."""
