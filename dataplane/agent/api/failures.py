"""Errors on the wire: the caller of the API gets the same class, message and exit code as in a run without an agent."""

from dataclasses import dataclass
from http import HTTPStatus

from dataplane.config.problem import InvalidConfig, Problem, Severity
from dataplane.errors import (
    AgentUnreachable,
    BugError,
    ConfigError,
    ConflictError,
    DataplaneError,
    HostError,
    PermissionDenied,
    UnknownError,
)
from dataplane.model.resource import Origin

_CLASSES: tuple[tuple[str, type[DataplaneError], HTTPStatus], ...] = (
    ("invalid_config", InvalidConfig, HTTPStatus.UNPROCESSABLE_ENTITY),
    ("config", ConfigError, HTTPStatus.UNPROCESSABLE_ENTITY),
    ("permission", PermissionDenied, HTTPStatus.FORBIDDEN),
    ("unreachable", AgentUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    ("host", HostError, HTTPStatus.INTERNAL_SERVER_ERROR),
    ("unknown", UnknownError, HTTPStatus.BAD_REQUEST),
    ("conflict", ConflictError, HTTPStatus.CONFLICT),
    ("bug", BugError, HTTPStatus.INTERNAL_SERVER_ERROR),
    ("failed", DataplaneError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""Derived classes stand before their bases: the first that fits is taken."""


@dataclass(frozen=True, slots=True)
class ProblemView:
    """A ``Problem`` of a configuration."""

    severity: Severity
    origin: Origin
    path: str
    message: str
    rule: str | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request was not done.

    Args:
        kind: the class of the error, as in the table above.
        exit_code: of the command line (design, section 8).
        message: what can be printed.
        problems: of a configuration, each with its place.
    """

    kind: str
    exit_code: int
    message: str
    problems: tuple[ProblemView, ...] = ()


def failure_of(error: DataplaneError) -> tuple[HTTPStatus, Failure]:
    """An error as the caller is told it."""
    kind, status = next((kind, status) for kind, known, status in _CLASSES if isinstance(error, known))
    problems = error.problems if isinstance(error, InvalidConfig) else ()
    views = tuple(
        ProblemView(item.severity, item.origin, item.path, item.message, item.rule, item.remedy) for item in problems
    )
    return status, Failure(kind, error.exit_code, "" if views else str(error), views)


def error_of(failure: Failure) -> DataplaneError:
    """The error that a failure was made of; a class that only a newer agent knows is the most general one."""
    if failure.problems:
        return InvalidConfig(
            Problem(item.severity, item.origin, item.path, item.message, item.rule, item.remedy)
            for item in failure.problems
        )
    known = {kind: made for kind, made, _ in _CLASSES if made is not InvalidConfig}
    error = known.get(failure.kind, DataplaneError)(failure.message)
    if error.exit_code != failure.exit_code:
        error.exit_code = failure.exit_code
    return error
