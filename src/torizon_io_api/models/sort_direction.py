"""Which end of a sorted list comes first."""

from enum import StrEnum


class SortDirection(StrEnum):
    """The values are the words on the wire."""

    ASC = "Asc"
    DESC = "Desc"
