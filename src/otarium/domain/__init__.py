"""Pure rules: names, packages, metadata, releases. No I/O, no clock, no framework."""
