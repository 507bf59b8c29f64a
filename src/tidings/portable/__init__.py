"""What an account takes with it from one server to another, whatever either keeps it in."""
