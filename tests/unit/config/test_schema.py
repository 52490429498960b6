"""The JSON Schema: complete, described, and in agreement with the models."""

import json
from dataclasses import fields

from dataplane.config import Network, schema

from .networks import EMPTY, text_problems
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


def undescribed(part, path=""):
    """Every key below a schema that says nothing of itself."""
    if isinstance(part, dict):
        for key, item in part.get("properties", {}).items():
            if not item.get("description"):
                yield f"{path}/{key}"
        for key, item in part.items():
            yield from undescribed(item, f"{path}/{key}")
    elif isinstance(part, list):
        for index, item in enumerate(part):
            yield from undescribed(item, f"{path}/{index}")


def test_every_key_is_described():
    assert list(undescribed(schema())) == []


def test_the_check_for_descriptions_can_fail():
    whole = schema()
    del whole["$defs"]["Route"]["properties"]["next_hop"]["oneOf"][2]["properties"]["load_balance"]["description"]
    del whole["properties"]["vpcs"]["description"]
    assert sorted(undescribed(whole)) == ["/$defs/Route/properties/next_hop/oneOf/2/load_balance", "/vpcs"]


def test_every_key_of_the_top_level_is_there():
    assert set(properties()["Network"]) == {field.name for field in fields(Network)}


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


def test_keys_without_a_value_are_empty_maps_and_lists():
    assert text_problems(EMPTY) == []


def test_the_schema_knows_that_maps_and_lists_may_be_empty():
    for name in ("Vpc/vswitches", "Vpc/instances", "Vpc/route_tables", "Vbr/routes", "RouteTable/routes"):
        model, key = name.split("/")
        assert {"type": "null"} in properties()[model][key]["anyOf"]
    top_level = properties()["Network"]
    assert [key for key, item in top_level.items() if {"type": "null"} not in item.get("anyOf", [])] == [
        "version",
        "profile",
    ]


def test_a_map_by_id_takes_no_other_keys():
    own, _ = properties()["Vpc"]["vswitches"]["anyOf"]
    assert own["additionalProperties"] is False
    assert list(own["patternProperties"]) == ["^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"]


def test_one_source_of_a_health_check_needs_no_list():
    own, alone = properties()["HealthCheck"]["source"]["anyOf"]
    assert own["items"] == alone
