"""The JSON Schema of the language (2020-12), read off the models, so that editors complete the file."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from dataplane.config.reading import adapter


def schema() -> dict[str, Any]:
    """The schema of one file: with every key, its description and its default."""
    generated = adapter().json_schema(by_alias=True)
    _close_maps(generated)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": "dataplane network",
        **{key: value for key, value in generated.items() if key != "title"},
    }


def _close_maps(part: Any) -> None:
    """Maps by id take ids only: pydantic gives them the pattern of a key, but lets other keys pass by it."""
    if isinstance(part, dict):
        if "patternProperties" in part:
            part["additionalProperties"] = False
        for child in part.values():
            _close_maps(child)
    elif isinstance(part, list):
        for child in part:
            _close_maps(child)
