"""The shape of the code base, held by tests: layers, one door for media, planning without a world."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "intermodal"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Who may open a connection, and why. Everything else that needs the network goes through one of these.
NETWORK = {
    "httpx": {"transport/proxy.py", "local/weights/hub.py"},
    "httpcore": {
        "media/fetch.py",
        "media/pinned_connection.py",
    },
    "socket": {
        # hands a child the descriptor of a file, over a pair of sockets that leads nowhere else
        "concurrency/worker_process.py",
        "transport/connection_errors.py",  # knows a failed name lookup by its class
        "gateway/process/service_manager.py",  # tells systemd on this machine that the process is alive, where it asked
        "gateway/workers/",  # listens for several processes; a line between them and their parent
        "media/sandbox.py",  # finds out that the worker can make none
        "media/fetch.py",  # resolves the names of users' URLs itself, and dials what it checked
        "local/servers/supervisor.py",  # takes a free port on loopback for a server of its own
        "store/process_identity.py",  # asks for this machine's name
        "testing/",  # the fake host, for tests
    },
    "http.server": {"testing/"},
    "aiohttp": set(),
    "asyncio.open_connection": set(),
    "ftplib": set(),
    "http.client": {
        "local/servers/server_status.py",  # health of the servers it starts itself, on loopback
        "testing/",  # an emulated door speaks to the real engine behind it
    },
    "huggingface_hub": set(),
    "openai": set(),
    "opentelemetry.exporter": {"telemetry/otlp_export.py"},  # to the collector that a config or a variable names
    "requests": set(),
    "smtplib": set(),
    "socketserver": set(),
    "urllib.request": set(),
    "urllib3": set(),
    "webbrowser": set(),
}

# Who may decode media (D4). Runtimes see images only as pixels or PNG that media/ made.
DECODERS = {
    "PIL": {"media/"},
    "av": {"media/"},
    "pypdfium2": {"media/"},
    "bs4": {"media/"},
    "defusedxml": {"media/"},
    "mammoth": {"media/"},
    "olefile": {"media/"},
    "openpyxl": {"media/"},
    "oxmsg": {"media/"},
    "pptx": {"media/"},
    "python_calamine": {"media/"},
    "resvg_py": {"media/"},
    "cv2": set(),
    "wave": {"media/", "testing/"},
}


@cache
def import_statements(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Those of a file, wherever in it: three tests read every file."""
    nodes = ast.walk(ast.parse(path.read_text(), str(path)))
    return tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every absolute module name a file imports, wherever in the file."""
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif node.module and not node.level:
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def outsiders(allowed: dict[str, set[str]]) -> list[str]:
    """``file:line imports X`` for each import of a guarded module outside the files that may."""
    found = set()
    for path in MODULES:
        here = path.relative_to(PACKAGE).as_posix()
        for name, line in imports(path):
            for guarded, places in allowed.items():
                guards = name == guarded or name.startswith(guarded + ".")
                if guards and not any(here.startswith(place) for place in places):
                    found.add(f"{here}:{line} imports {guarded}")
    return sorted(found)


def test_the_import_contract_holds() -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


# Their modules have places in the contract, one by one.
_FOLDERS = (
    "intermodal", "intermodal.catalog", "intermodal.catalog.snapshot", "intermodal.local", "intermodal.concurrency",
    "intermodal.files",
)  # fmt: skip


def test_every_module_has_its_place_in_the_layers() -> None:
    """A new top-level module must be put into the contract; none lives outside it."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    placed = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    missing = []
    for path in MODULES:
        module = ".".join(("intermodal", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        if module in _FOLDERS:
            continue
        holds_layers = path.name == "__init__.py" and any(name.startswith(module + ".") for name in placed)
        if not holds_layers and not any(module == name or module.startswith(name + ".") for name in placed):
            missing.append(module)
    assert not missing


def test_no_telemetry_only_named_modules_can_reach_the_network() -> None:
    assert outsiders(NETWORK) == []


def test_connections_are_made_by_the_event_loop_in_one_place_alone() -> None:
    """What imports say nothing of: the loop itself dials. Where to, the catalog says."""
    dialling = {path.relative_to(PACKAGE).as_posix() for path in MODULES if ".create_connection(" in path.read_text()}
    assert dialling == {"transport/http1.py"}


def test_d4_only_media_decodes_media() -> None:
    assert outsiders(DECODERS) == []


def test_d4_only_fetch_opens_what_a_user_names() -> None:
    """``media/`` decodes bytes; the one module that turns a path or URL into bytes is ``fetch``."""
    # An image, a recording; a member of a ZIP in memory; an image in a document, which lies in that ZIP.
    of_bytes = ("av.open", "Image.open", "PIL.Image.open", "self._zip.open", "image.open")
    opened = []
    for path in sorted((PACKAGE / "media").rglob("*.py")):
        if path.name in (
            "fetch.py",
            "sandbox.py",
        ):  # the last two try, or allow, places of their own
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            reads = name.endswith((".read_bytes", ".read_text", ".open", ".open_file"))
            if name == "open" or (reads and name not in of_bytes):
                opened.append(f"{path.name}:{node.lineno} {name}")
    assert not opened


def test_client_page_reads_in_one_sitting() -> None:
    """``client/async_client.py`` stays a page, and each of the verbs in it a paragraph."""
    source = (PACKAGE / "client" / "async_client.py").read_text()
    assert len(source.splitlines()) <= 400
    verbs = {"plan", "explain", "stream", "run", "execute", "prepare"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef) and node.name in verbs:
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 40, node.name


@pytest.mark.parametrize("package", ["planner", "cost_model"])
def test_planning_reads_no_world(package: str) -> None:
    """No clock, environment, file or chance by any spelling, beyond what the import contract can see."""
    calls = re.compile(r"^(open|input|print|hash|globals)\(|\.(now|today|utcnow|getenv)\(")
    found = []
    for path in sorted((PACKAGE / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                text = ast.unparse(node.func) + "("
                if calls.search(text):
                    found.append(f"{path.name}:{node.lineno} {text}")
    assert not found


def test_no_module_imports_itself_through_others() -> None:
    """Type-checking imports and imports in functions count."""
    assert [sorted(circle) for circle in import_circles()] == []


def import_circles() -> list[set[str]]:
    """Strongly connected components of the import graph, by Tarjan's algorithm."""
    imports = import_graph()
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        stack.append(module)
        for other in imports[module]:
            if other not in order:
                visit(other)
                lowest[module] = min(lowest[module], lowest[other])
            elif other in stack:
                lowest[module] = min(lowest[module], order[other])
        if lowest[module] == order[module]:
            circle = set(stack[stack.index(module) :])
            del stack[stack.index(module) :]
            if len(circle) > 1:
                found.append(circle)

    for module in imports:
        if module not in order:
            visit(module)
    return found


def import_graph() -> dict[str, set[str]]:
    """Every module of the package with those that it imports, wherever the import stands; without ``intermodal.``"""
    paths = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
        for path in PACKAGE.rglob("*.py")
    }
    graph: dict[str, set[str]] = {module: set() for module in paths}
    for module, path in paths.items():
        for node in import_statements(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("intermodal."):
                origin = str(node.module).removeprefix("intermodal.")
                for alias in node.names:
                    inner = f"{origin}.{alias.name}"
                    graph[module].add(inner if inner in paths else origin)
            elif isinstance(node, ast.Import):
                graph[module] |= {alias.name.removeprefix("intermodal.") for alias in node.names} & paths.keys()
        graph[module] &= paths.keys() - {module}
    return graph
