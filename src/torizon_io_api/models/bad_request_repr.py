"""The body of a 400 answer."""

from .error_repr import ErrorRepr


class BadRequestRepr(ErrorRepr):
    """Says that the request itself is wrong, and sending it again will not help."""
