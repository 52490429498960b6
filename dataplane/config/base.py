"""What all resources have in common: they are frozen, know their keys, and may carry a name (R69, R87).

A resource is a plain class with slots: pydantic, which reads one out of a file (``reading.py``), is not needed by
whoever uses it. The agent lives for months without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from dataplane.config.kinds import Description, Name, function_after, function_before

_Model = TypeVar("_Model", bound="Model")


def key(
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    description: str = "",
    validation_alias: str = "",
) -> Any:
    """A key of a resource; without a default it must be written.

    Args:
        description: what an editor says of it.
        validation_alias: what the file calls it, where that is another word.
    """
    words = {"description": description, "validation_alias": validation_alias}
    return field(
        default=default, default_factory=default_factory, metadata={name: word for name, word in words.items() if word}
    )


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
def model(cls: type[_Model]) -> type[_Model]:
    """Make a class a part of the configuration."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key,))
def remembering_model(cls: type[_Model]) -> type[_Model]:
    """Likewise, of one that keeps what it has computed (``cached_property``): without slots."""
    return dataclass(frozen=True, kw_only=True)(cls)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A frozen part of the configuration that refuses keys it does not know."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid"}

    @classmethod
    def adapt(cls, value: Any) -> Any:
        """What is written in another way, as the map of keys that it means; anything else as it is."""
        return value

    def checked(self) -> Self:
        """Itself, where its keys go together.

        Raises:
            PydanticCustomError: they do not (``values.refuse``).
        """
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        # The name by which pydantic finds it again must be that of the whole, or the second use would skip both.
        inner = dict(handler(source))
        name = inner.pop("ref", None)
        whole = function_before(cls.adapt, function_after(cls.checked, inner))
        return whole if name is None else {**whole, "ref": name}


@model
class Described(Model):
    """A resource with free text for people (R69)."""

    name: Name | None = key(default=None, description="What people call it: 2 to 128 characters (R69).")
    description: Description | None = key(default=None, description="What it is for: 2 to 256 characters (R69).")
