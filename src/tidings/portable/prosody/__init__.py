"""What Prosody 0.10 to 0.12 has written: its data directory, or its SQL database."""
