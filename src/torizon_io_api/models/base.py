"""What all models of the API share: camelCase on the wire, snake_case in Python.

A field that was never set is left out of `to_dict` and `to_json`; a field that was set to None is written as
null. The difference carries meaning in an edit, where an absent field keeps its value and null clears it.
"""

from collections.abc import Mapping
from pprint import pformat
from typing import Any, Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """Accepts its fields by either name and ignores unknown ones, so that a newer server stays readable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        validate_assignment=True,
        protected_namespaces=(),
    )

    def to_dict(self) -> dict[str, Any]:
        """The fields that were set, by wire name; times stay `datetime`."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def to_json(self) -> str:
        """The fields that were set, as a JSON object with wire names."""
        return self.model_dump_json(by_alias=True, exclude_unset=True)

    def to_str(self) -> str:
        """A readable rendering of all fields, for logs and for the eye."""
        return pformat(self.model_dump(by_alias=True))

    @classmethod
    def from_dict(cls, obj: Mapping[str, Any]) -> Self:
        """Raises pydantic.ValidationError when a required field is missing or a value has the wrong type."""
        return cls.model_validate(obj)

    @classmethod
    def from_json(cls, json_str: str | bytes) -> Self:
        """Raises pydantic.ValidationError, also for text that is not JSON."""
        return cls.model_validate_json(json_str)
