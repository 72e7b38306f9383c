"""The body of a 409 answer."""

from .error_repr import ErrorRepr


class ConflictRepr(ErrorRepr):
    """Says that the request contradicts what the repository already holds."""
