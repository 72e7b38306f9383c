"""HTTP in front of the services: parse, call, render."""
