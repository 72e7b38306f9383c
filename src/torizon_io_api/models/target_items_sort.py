"""What a list of packages is sorted by."""

from enum import StrEnum


class TargetItemsSort(StrEnum):
    """`FILENAME` is the package id by code point."""

    FILENAME = "Filename"
    CREATEDAT = "CreatedAt"
