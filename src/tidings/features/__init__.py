"""What the server can do: one file or package per capability."""
