"""Reads configurations in a process of its own, which takes what reading needs along when it ends.

pydantic, PyYAML and the rules are some 14 MB, which an agent would hold for months. Owns the short child that reads:
what it finds comes back as the same values, or the same problems.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakValueDictionary

from dataplane.config import InvalidConfig, Loaded, Problem, Source
from dataplane.config.source import read_sources
from dataplane.errors import HostError

_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from dataplane.agent.reader import answer; answer()"

_Asked = tuple[tuple[Source, ...], tuple[Path, ...]]
"""What a child reads: texts, or where there are none, the files at some paths."""


class _Reading:
    """A reading under way.

    Raises:
        HostError: the machine has no room for another process.
    """

    def __init__(self, asked: _Asked) -> None:
        # -P: nothing that lies about in the present folder is imported.
        flags = ("-P", "-B") if sys.flags.dont_write_bytecode else ("-P",)
        command = [sys.executable, *flags, "-c", _PROGRAM, _ROOT]
        try:
            # Not a pipe: nobody waits until a child that is still starting takes what it is asked.
            with os.fdopen(os.memfd_create("asked"), "w+b") as request:
                pickle.dump(asked, request)
                request.seek(0)
                self._process = subprocess.Popen(command, stdin=request, stdout=subprocess.PIPE)
        except OSError as error:
            raise HostError(f"the configuration cannot be read: {error}; free memory or processes") from error

    def result(self) -> Loaded:
        """What it has found. Call it once.

        Raises:
            InvalidConfig: the configuration has errors.
            HostError: the child died.
        """
        output, _ = self._process.communicate()
        if self._process.returncode:
            code = self._process.returncode
            raise HostError(f"the reader of the configuration ended with code {code}; see what it said, and try again")
        found = pickle.loads(output)
        if isinstance(found, Loaded):
            return found
        raise InvalidConfig(found)

    def drop(self) -> None:
        """Nobody wants to know any more."""
        self._process.kill()
        self._process.communicate()


class Reader:
    """Reads configurations, and knows again the ones that somebody still holds; for any number of threads."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[Source, ...], Loaded] = WeakValueDictionary()
        self._begun: tuple[tuple[Source, ...], _Reading] | None = None
        self._taking = threading.Lock()

    def begin(self, paths: Sequence[Path]) -> None:
        """Have files read that are asked for soon, while the caller does something else. Files that cannot be read
        are left to whoever asks."""
        with suppress(HostError):
            sources = _texts(paths)
            if sources:
                self._begun = sources, _Reading((sources, ()))

    def load(self, paths: Sequence[Path]) -> Loaded:
        """As ``config.load``.

        Raises:
            InvalidConfig: with every error and warning that was found.
            HostError: the reading process died.
        """
        sources = _texts(paths)
        return self.load_sources(sources) if sources else _Reading(((), tuple(paths))).result()

    def load_sources(self, sources: Sequence[Source]) -> Loaded:
        """As ``config.load_sources``.

        Raises:
            InvalidConfig: with every error and warning that was found.
            HostError: the reading process died.
        """
        texts = tuple(sources)
        known = self._known.get(texts)
        if known is not None:
            return known
        with self._taking:  # a reading has one result, for one of the threads that ask
            begun, self._begun = self._begun, None
        if begun is not None and begun[0] != texts:
            begun[1].drop()
            begun = None
        found = begun[1].result() if begun is not None else _Reading((texts, ())).result()
        self._known[found.sources] = found
        return found


def _texts(paths: Sequence[Path]) -> tuple[Source, ...]:
    """The texts of files; none where one of them cannot be read, since that is to be told with all else."""
    problems: list[Problem] = []
    found = read_sources(paths, problems)
    return () if problems else tuple(found)


def answer() -> None:
    """The child's side: read what standard input asks for, and write what was found to standard output."""
    from dataplane.config import loader

    sources, paths = pickle.load(sys.stdin.buffer)
    found: object
    try:
        found = loader.load(paths) if paths else loader.load_sources(sources)
    except InvalidConfig as error:
        found = error.problems
    with suppress(BrokenPipeError):  # nobody wants to know any more
        pickle.dump(found, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()
    os._exit(0)  # nothing is to be tidied up, which would take time
