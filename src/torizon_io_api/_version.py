"""The version of the distribution that this client is part of."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("otarium")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0"
