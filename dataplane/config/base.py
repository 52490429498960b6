"""What all resources have in common: they are frozen, know their keys, and may carry a name (R69, R87)."""

from pydantic import BaseModel, ConfigDict, Field

from dataplane.config.kinds import Description, Name


class Model(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Described(Model):
    """A resource with free text for people (R69)."""

    name: Name | None = Field(default=None, description="What people call it: 2 to 128 characters (R69).")
    description: Description | None = Field(default=None, description="What it is for: 2 to 256 characters (R69).")
