"""The calls of the API."""

from .packages_api import PackagesApi

__all__ = ["PackagesApi"]
