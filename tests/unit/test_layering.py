"""The rules of the house (design, section 2), checked by reading the imports: data flows one way, small rooms."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dataplane"

PURE = ("config", "model", "compile", "plan", "accept")
IMPURE_MODULES = frozenset(
    {"pyroute2", "bcc", "socket", "subprocess", "ctypes", "psutil", "time", "datetime", "random"}
)
IMPURE_CALLS = frozenset({"os.environ", "os.getenv", "os.geteuid", "os.getpid", "os.system"})

# What each part may import of its own kind; a name that is not in the list of a part is above it.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "model": frozenset({"errors", "model"}),
    "config": frozenset({"errors", "model", "config"}),
    "compile": frozenset({"errors", "model", "config", "compile"}),
    "plan": frozenset({"errors", "model", "plan"}),
    # A process of its own that stays small: what it needs privileges for is handed to it (kernel/probe_socket.py).
    "health": frozenset({"", "errors", "health"}),
    "datapath": frozenset({"errors", "model", "datapath"}),
    "kernel": frozenset({"errors", "model", "plan", "datapath", "kernel"}),
    # Acceptance: what is measured and what it means is pure; whoever runs it enters namespaces.
    "accept": frozenset({"errors", "model", "config", "accept"}),
    "measure": frozenset({"", "errors", "model", "accept", "kernel", "measure"}),
    # Status is a pure view of desired and observed state, which a session asks for; so it is below the agent.
    "observe": frozenset({"errors", "model", "config", "plan", "health", "observe"}),
    "agent": frozenset(
        {"errors", "model", "config", "compile", "plan", "datapath", "kernel", "health", "observe", "agent"}
    ),
    "cli": frozenset(
        {"", "errors", "model", "config", "compile", "plan", "kernel", "agent", "observe", "accept", "measure", "cli"}
    ),
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported module with its line, wherever in the file; relative imports are refused on the way.

    Imports for the type checker only (``if TYPE_CHECKING``) count too: they are a dependency of the reader.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # ``from dataplane import config`` imports a part by its name.
            names = [f"dataplane.{alias.name}" for alias in node.names] if module == "dataplane" else [module]
            yield from ((node.lineno, name) for name in names)


def violations(part: str, source: str) -> list[str]:
    """What a module of a part does that it must not, as ``line: sentence``."""
    tree = ast.parse(source)
    found = []
    for line, module in imports(tree):
        top = module.split(".")[0]
        if module.startswith("."):
            found.append(f"{line}: relative import; say dataplane.{part}...")
        if part in PURE and top in IMPURE_MODULES:
            found.append(f"{line}: imports {module}, but {part} is pure")
        if top == "dataplane" and _part_of(module) not in MAY_IMPORT[part]:
            found.append(f"{line}: {part} imports {module}, which is above it")
        if top == "lab" or top == "tests":
            found.append(f"{line}: imports {module}, which is around the product") if part != "cli" else None
    if part in PURE:
        found += [f"{line}: uses {name}, but {part} is pure" for line, name in _impure_uses(tree)]
    return found + _long_functions(tree) + _long_file(source)


def _part_of(module: str) -> str:
    """``config`` of ``dataplane.config.network``; the package's own constants (``__version__``) are nobody's."""
    name = module.split(".")[1] if "." in module else ""
    return "" if name.startswith("__") else name


def _impure_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in IMPURE_CALLS:
                yield node.lineno, name


def _long_functions(tree: ast.Module) -> list[str]:
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = [(node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions]
    return [f"{node.lineno}: {node.name} has {n} lines" for node, n in lengths if n > MAX_FUNCTION_LINES]


def _long_file(source: str) -> list[str]:
    lines = source.count("\n")
    return [f"1: the file has {lines} lines"] if lines > MAX_FILE_LINES else []


def part_of_file(path: Path) -> str:
    """The part that a file of the package belongs to: its folder, or its own name at the top."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_keeps_to_its_layer(path: Path) -> None:
    assert violations(part_of_file(path), path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{path} has no docstring"


def test_the_tree_was_found() -> None:
    """The two tests above would pass on nothing."""
    assert {"model", "cli", "plan"} <= {part_of_file(path) for path in FILES}


@pytest.mark.parametrize(
    ("part", "source", "complaint"),
    [
        ("compile", "import socket\n", "1: imports socket, but compile is pure"),
        ("config", "def f():\n    from time import time\n", "2: imports time, but config is pure"),
        ("plan", "import os\nx = os.environ['HOME']\n", "2: uses os.environ, but plan is pure"),
        ("model", "from dataplane.config import load\n", "1: model imports dataplane.config, which is above it"),
        ("kernel", "from dataplane import config\n", "1: kernel imports dataplane.config, which is above it"),
        ("kernel", "import dataplane.compile.vpc\n", "1: kernel imports dataplane.compile.vpc, which is above it"),
        (
            "agent",
            "from dataplane.cli.output import emit\n",
            "1: agent imports dataplane.cli.output, which is above it",
        ),
        ("observe", "from dataplane.agent.report import Status\n", "which is above it"),
        ("plan", "from .action import Action\n", "1: relative import; say dataplane.plan..."),
        ("agent", "import lab\n", "1: imports lab, which is around the product"),
        ("cli", "def f():\n" + "    x = 1\n" * 60, "1: f has 61 lines"),
        ("cli", "x = 1\n" * 401, "1: the file has 401 lines"),
    ],
)
def test_the_checker_sees_a_bad_module(part: str, source: str, complaint: str) -> None:
    assert any(complaint in found for found in violations(part, source))


def test_the_checker_lets_a_good_module_be() -> None:
    source = (
        "import os\nfrom dataplane.model.names import HOST\n\ndef f() -> str:\n    return os.path.join(HOST, 'a')\n"
    )
    assert violations("compile", source) == []
