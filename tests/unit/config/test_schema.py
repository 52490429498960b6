"""The JSON Schema: complete, described, and in agreement with the models."""

import json

from dataplane.config import Network, schema

from .test_design_example import EXAMPLE


def properties():
    """Each object of the schema by its title, with its properties."""
    whole = schema()
    return {
        "Network": whole["properties"],
        **{name: item.get("properties", {}) for name, item in whole["$defs"].items()},
    }


def test_the_schema_is_json_of_2020_12_and_a_fresh_copy_each_time():
    whole = json.loads(json.dumps(schema()))
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["additionalProperties"] is False
    schema()["properties"].clear()
    assert schema()["properties"]


def test_every_key_is_described():
    bare = [
        (name, key) for name, keys in properties().items() for key, item in keys.items() if "description" not in item
    ]
    # What a next hop needs is described where it is written out, under next_hop.
    assert [item for item in bare if not item[0].endswith(("Hop", "Member"))] == []


def test_every_key_of_the_top_level_is_there():
    assert set(properties()["Network"]) == set(Network.model_fields)


def test_every_key_of_the_example_is_in_the_schema():
    text = json.dumps(schema())
    keys = {line.split(":")[0].strip("- {") for line in EXAMPLE.splitlines() if ":" in line}
    keys = {key for key in keys if key.isidentifier() and "_" in key}
    assert keys
    assert [key for key in keys if f'"{key}"' not in text] == []


def test_the_names_of_the_file_are_used():
    check = properties()["HealthCheck"]
    assert {"interval", "timeout", "hold_down"} <= set(check)
    assert "interval_ms" not in check
    hops = properties()["Route"]["next_hop"]["oneOf"]
    assert [next(iter(item.get("properties", {"const": 0}))) for item in hops] == [
        "instance",
        "router_interface",
        "load_balance",
        "active_standby",
        "const",
    ]
