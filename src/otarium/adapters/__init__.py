"""I/O that decides nothing. Adapters know the ports and domain values, never each other's insides."""
