"""The command line: operator commands over the bootstrap, user commands over the client module."""
