"""An account: who owns a VPC, a VBR or a physical connection."""

from typing import Annotated

from dataplane.config.base import Described, key, model
from dataplane.config.kinds import Text
from dataplane.config.values import parse_uid


@model
class Account(Described):
    """Owner of resources; the two ends of a peering connection may belong to two of them (R7)."""

    uid: Annotated[str, Text(parse_uid, "[0-9]{1,32}")] | None = key(
        default=None, description='The account\'s number, in quotes: "12345678".'
    )
