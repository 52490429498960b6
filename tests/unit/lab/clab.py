"""What a ``clab.yml`` has wrong: by containerlab's own schema, and what that does not notice.

``clab.schema.json`` is a copy of containerlab's ``schemas/clab.schema.json`` (github.com/srl-labs/containerlab),
under its BSD 3-Clause licence, which stands in ``clab.schema.LICENSE``. Only this test uses it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).parent / "clab.schema.json"
LONGEST_IFNAME = 15


def faults(file: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a file, a sentence each."""
    validator = jsonschema.Draft7Validator(_schema())
    by_schema = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(file)]
    return by_schema or list(_unnoticed(file["topology"]))


def _schema() -> Any:
    """Python's ``re`` has no Unicode properties."""
    return json.loads(SCHEMA.read_text().replace(r"[\\p{N}\\p{L}]", r"\\w"))


def _unnoticed(about: Mapping[str, Any]) -> Iterator[str]:
    taken: set[str] = set()
    for link in about.get("links", ()):
        ends = link["endpoints"]
        if len(ends) != 2:
            yield f"{ends} has not two ends"
        for end in ends:
            node, _, ifname = end.partition(":")
            if node not in about["nodes"]:
                yield f"{end}: there is no node {node}"
            if not 1 <= len(ifname) <= LONGEST_IFNAME or set(ifname) & set(":/ "):
                yield f"{end}: {ifname} cannot be the name of an interface"
            if end in taken:
                yield f"{end} is the end of two links"
            taken.add(end)
    for name, node in about["nodes"].items():
        kind = about.get("kinds", {}).get(node["kind"], {})
        if "image" not in {**kind, **node}:
            yield f"{name} has no image"
        mode = {**kind, **node}.get("network-mode")
        if mode != "none" and f"{name}:eth0" in taken:
            yield f"{name}:eth0 is the management network's"
