"""Plain values to the resources that they describe, by pydantic: the only place where one is made from a file."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from dataplane.config.network import Network


@cache
def adapter() -> TypeAdapter[Network]:
    """What pydantic makes of the models."""
    return TypeAdapter(Network)


def network_of(plain: Any) -> Network:
    """The network that a tree of plain values describes.

    Raises:
        ValidationError: pydantic's, with everything that is wrong with single values and keys.
    """
    return adapter().validate_python(plain)
