"""The keys that the language has at each place, read off the models, and those that come later (D24).

It answers "what could have been meant here?" for messages; nothing is checked here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from dataplane.config.base import Model
from dataplane.config.network import Network
from dataplane.config.next_hop import UNWRAPPED

LATER_KEYS = frozenset(
    {
        "security_groups",
        "security_group",
        "eips",
        "eip",
        "nat_gateways",
        "load_balancers",
        "vpn_gateways",
        "bgp",
        "cens",
        "classic_instances",
        "multicast_groups",
        "publish",
        "havips",
        "secondary_enis",
        "rds_instances",
    }
)
"""Keys of features that are planned and not there yet: refused as such, not as unknown (D24)."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is close to another, if there is one."""
    found = get_close_matches(str(word), [str(item) for item in known], n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean `cidr`?`` where something known is close to the word, else nothing."""
    close = closest(word, known)
    return f"did you mean `{close}`?" if close is not None else ""


def known_keys(path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that a map at this path may have, in the order of the models."""
    models: tuple[Any, ...] = (Network,)
    is_id_next = False
    for step in path:
        if is_id_next or isinstance(step, int):
            is_id_next = False
            continue
        if step in UNWRAPPED:
            models = (UNWRAPPED[step],)
            continue
        annotations = [known[step] for known in map(_fields, models) if step in known]
        if annotations:
            is_id_next = any(_is_map(annotation) for annotation in annotations)
            models = tuple(model for annotation in annotations for model in _models(annotation))
    if is_id_next:
        return ()
    return tuple(dict.fromkeys(key for model in models for key in _fields(model)))


@cache
def _fields(model: type[Model]) -> dict[str, Any]:
    """The annotations of a model's fields under the names that the file uses."""
    hints = get_type_hints(model)
    return {field.metadata.get("validation_alias", field.name): hints[field.name] for field in fields(model)}


def _is_map(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _models(annotation: Any) -> list[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
