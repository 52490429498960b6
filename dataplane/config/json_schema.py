"""The JSON Schema of the language (2020-12), read off the models, so that editors complete the file."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from dataplane.config.network import Network


def schema() -> dict[str, Any]:
    """The schema of one file: with every key, its description and its default."""
    generated = Network.model_json_schema(by_alias=True)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "dataplane network",
        **{key: value for key, value in generated.items() if key != "title"},
    }
