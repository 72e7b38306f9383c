"""Independent judges: a device written without a look at the server, and clients that others wrote."""
