"""``dataplane schema``: the JSON Schema of the configuration language, for editors that complete and check YAML."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from dataplane.cli.output import FORMATS, Table, emit, serialise


@click.command(
    epilog="""\b
Examples:
  dataplane schema > network.schema.json
  dataplane schema -o table                  the keys of the language, one per line
\b
In an editor with a YAML language server, the first line of a file names it:
  # yaml-language-server: $schema=network.schema.json
"""
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(FORMATS),
    default="json",
    show_default=True,
    help="The schema as it is (json, yaml), or its keys (table).",
)
def schema(output: str) -> None:
    """Print the JSON Schema of the configuration language."""
    from dataplane.config import schema as json_schema

    document = json_schema()
    if output == "table":
        # A key that several forms of a value share is one row.
        rows = {key: (key, kind, meaning) for key, kind, meaning in reversed(list(_keys(document, document, "")))}
        emit({}, output, lambda: [Table(("key", "type", "meaning"), list(reversed(rows.values())))])
        return
    # As it is, without a version of ours: the document belongs to JSON Schema.
    click.echo(serialise(document, output))


def _keys(schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Every key below a schema as (path, type, meaning). The language is a tree, so this ends."""
    node = _resolve(schema, root)
    for choice in _choices(node):
        yield from _keys(choice, root, path)
    for name, child in node.get("properties", {}).items():
        yield from _key(child, root, f"{path}.{name}" if path else name)
    values = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    if isinstance(values, dict):
        yield from _keys(values, root, f"{path}.<id>")
    if isinstance(node.get("items"), dict):
        yield from _keys(node["items"], root, f"{path}[]")


def _key(child: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    node = _resolve(child, root)
    meaning = child.get("description") or node.get("description") or ""
    yield path, _type(child, root), str(meaning).split("\n", 1)[0]
    yield from _keys(child, root, path)


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references to what they stand for."""
    while "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].lstrip("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def _choices(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The forms that a value may have, without the null of what may be left out."""
    return [choice for key in ("anyOf", "oneOf") for choice in node.get(key, ()) if choice.get("type") != "null"]


def _type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    node = _resolve(schema, root)
    if "enum" in node:
        return " | ".join(map(str, node["enum"]))
    if "const" in node:
        return str(node["const"])
    if choices := _choices(node):
        return " | ".join(dict.fromkeys(_type(choice, root) for choice in choices))
    return str(node.get("type", "any"))
