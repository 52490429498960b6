"""Errors classed by who must act, each with the exit code of the command line (design, section 8).

The class says the remedy, the message says the rest: what, where, which rule, what to do.
Messages are one sentence or one block of text that can be printed as it is.
"""


class DataplaneError(Exception):
    """Base of every error that a person is told about."""

    exit_code = 1


class ConfigError(DataplaneError):
    """The user edits the YAML."""

    exit_code = 4


class HostError(DataplaneError):
    """The host lacks something: a kernel feature, a tool, a namespace to attach to."""


class PermissionDenied(HostError):
    """The caller lacks a privilege."""

    exit_code = 6


class AgentUnreachable(HostError):
    """An agent's socket is there, and nobody answers."""

    exit_code = 5


class ConflictError(DataplaneError):
    """Somebody else's object, or somebody else's run, is in the way."""


class UnknownError(DataplaneError):
    """The caller names something that is not there; the message says what is."""

    exit_code = 2


class BugError(DataplaneError):
    """We contradict ourselves; the user reports it."""
