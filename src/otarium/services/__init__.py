"""One function per thing a person can ask for; the only callers of ports."""
