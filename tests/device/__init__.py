"""What devices see of a running server."""
