"""The body of a 404 answer."""

from .error_repr import ErrorRepr


class NotFoundRepr(ErrorRepr):
    """Says that what was asked for does not exist."""
