"""A file of a small language beside the network's own (``lab.yaml``, ``acceptance.yaml``), read into its model.

All mistakes are said at once, each with its place, as those of a network are. What the file means is its reader's.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from dataplane.config.compose import Unreadable, compose
from dataplane.config.node import Node
from dataplane.config.problem import InvalidConfig, Problem, path_text
from dataplane.config.source import check_text, read_sources
from dataplane.config.values import REFUSED
from dataplane.model.resource import Origin

Path_ = tuple[str | int, ...]
Document = TypeVar("Document", bound=BaseModel)


class Model(BaseModel):
    """A frozen part of such a file that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_document(path: Path, model: type[Document], manual: str) -> tuple[Document, Node]:
    """Read and check a file.

    Args:
        path: of the file.
        model: of the whole file.
        manual: where its language is described, for remedies.

    Returns:
        Its content, and the tree with the positions.

    Raises:
        InvalidConfig: with every mistake that was found.
    """
    problems: list[Problem] = []
    for source in read_sources([path], problems):
        bad_text = check_text(source)
        if bad_text is not None:
            raise InvalidConfig([bad_text])
        try:
            places = compose(source.name, source.text, problems)
        except Unreadable as error:
            raise InvalidConfig([error.problem]) from error
        if places is None:
            origin = Origin(source.name, 1, 1)
            problems.append(Problem("error", origin, "", "the file is empty", None, "begin it with version: 1"))
        if problems or places is None:
            break
        try:
            return model.model_validate(places.plain()), places
        except ValidationError as error:
            problems = list(_translate(error, places, manual))
    raise InvalidConfig(problems)


def problem_at(places: Node, path: Path_, message: str, remedy: str, rule: str | None = None) -> Problem:
    """A mistake at a place of a file.

    Args:
        path: from the root; the nearest known place around it is named.
    """
    return Problem("error", places.nearest(path).origin, path_text(path), message, rule, remedy)


def _translate(error: ValidationError, places: Node, manual: str) -> Iterator[Problem]:
    """pydantic's errors in our words, each at its place."""
    items = error.errors(include_url=False)
    see = f"see the language in {manual}"
    for item in items:
        path = _path_in_file(item["loc"], places)
        context = item.get("ctx", {})
        if item["type"] == REFUSED:
            yield problem_at(places, path, context["message"], context["remedy"], context.get("rule"))
        elif item["type"] == "missing":
            yield problem_at(places, path, f"the key `{item['loc'][-1]}` is missing", f"add {item['loc'][-1]}: ...")
        elif item["type"] == "extra_forbidden":
            yield problem_at(places, path, f"the key `{path[-1]}` is unknown", see)
        elif item["type"] == "too_short":
            # pydantic counts what is left of a list; where that is nothing since an item is wrong, that has been said.
            if not any(other["loc"][:-1] == item["loc"] for other in items):
                yield problem_at(places, path, "the list is empty", "name at least one")
        else:
            yield problem_at(places, path, item["msg"][0].lower() + item["msg"][1:], see)


def _path_in_file(loc: Sequence[str | int], places: Node) -> Path_:
    """The part of pydantic's location that is in the file: a lone value stands for a list of one."""
    path: list[str | int] = []
    for step in loc:
        below = places.nearest(path).child(step)
        if below is None:
            break
        path.append(step)
    return tuple(path)
