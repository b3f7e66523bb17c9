"""Guards that every test runs under, and the few fixtures that all share.

On by default: nothing but loopback can be reached, every file intermodal writes goes to a folder of
the test, no key of the developer's environment is seen, warnings are errors. Models are real where a
test is marked ``e2e``; their weights come from the developer's cache and are never skipped over:
``make setup`` pulled them, so a missing one is a failure.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.known_questions import with_known_questions

from intermodal.config.config_file import cache_dir
from intermodal.local.embedded import runtimes
from intermodal.local.embedded.runtimes import start_child
from intermodal.store.conversion_cache import FOLDER

# Hypothesis fails an example that takes 200 ms, which says as much of the machine as of the code.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
DEFAULT_WEIGHTS = ("smollm2-135m-instruct", "whisper-base", "whisper-tiny.en", "piper-en-us-joe-medium")
REAL_WEIGHTS = cache_dir(os.environ) / "weights"
SECRET = re.compile(r"(_API_KEY|_TOKEN|_SECRET)$")

_homes = count()

# Tests start hundreds of processes. Where no compiled files are kept, as in many containers, each compiles us again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite expected texts from what the code says now")
    parser.addoption("--full-gates", action="store_true", help="run the reliability gates at full size")
    parser.addoption("--vllm", metavar="PYTHON", help="a Python that has vLLM (see `make test-vllm`)")


def pytest_collection() -> None:
    """Modules and thousands of tests are here for good: to look through them again and again for circles that can be
    freed, at every 700 containers as Python comes, takes an eighth of the time of collection and of tests."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real speech, images, music and PDFs; ``examples/media/README.md`` says what is in them."""
    return ROOT / "examples" / "media"


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--bless"))


@pytest.fixture
def full_gates(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full-gates"))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Config, data and cache in a folder of this test; no keys; the weights of the real cache, linked in."""
    # Not by ``mktemp``, which looks through the folders of all tests before it for the next number.
    home = tmp_path_factory.getbasetemp() / "homes" / f"{next(_homes):05}"
    home.mkdir(0o700, parents=True)
    for name in list(os.environ):
        if name.startswith(("INTERMODAL_", "OTEL_")) or SECRET.search(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("INTERMODAL_HOME", str(home))
    monkeypatch.setenv("INTERMODAL_DISCOVERY", "off")  # what else runs on this machine is none of a test's business
    cache = cache_dir(os.environ)
    assert home in (cache, *cache.parents), "INTERMODAL_HOME must move the cache too, or tests write to yours"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "weights").symlink_to(REAL_WEIGHTS, target_is_directory=True)
    return home


@pytest.fixture(scope="session")
def of_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of pytest that all its workers share, for what is made once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "of-session"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def shared_conversions(own_home: Path, of_session: Path) -> None:
    """Transcripts and recognised text that an earlier test made are found in the cache, as on a user's machine.

    For tests that promise nothing of how a file is heard or read, but of what is done with its words. Another worker
    may fill the cache at any moment.
    """
    folder = of_session / "conversions"
    folder.mkdir(exist_ok=True)
    (own_home / "cache" / FOLDER).symlink_to(folder, target_is_directory=True)


@pytest.fixture
def own_conversions(shared_conversions: None, own_home: Path) -> None:
    """The cache is empty after all, and filled by this test alone: for two plans that are to be alike."""
    (own_home / "cache" / FOLDER).unlink()


@pytest.fixture(scope="session", autouse=True)
def known_questions() -> Iterator[None]:
    """What a question needs is estimated once by each process of pytest (``tests/known_questions.py``)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "start_child", with_known_questions(start_child))
        yield


@pytest.fixture(scope="module")
def own_questions() -> Iterator[None]:
    """What a question needs is estimated by the child itself: for tests that promise something of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtimes, "start_child", start_child)
        yield


@pytest.fixture(autouse=True)
def weights_are_here(request: pytest.FixtureRequest) -> None:
    """An ``e2e`` test without its weights fails and says what to do; it does not pass by being skipped."""
    if request.node.get_closest_marker("e2e") is None:
        return
    from intermodal.local.weights.store import WeightsStore

    missing = [name for name in DEFAULT_WEIGHTS if WeightsStore(REAL_WEIGHTS).path(name) is None]
    if missing:
        pytest.fail(f"weights are missing: {', '.join(missing)}; run `make setup`", pytrace=False)


@pytest.fixture(autouse=True)
def usual_priority() -> Iterator[None]:
    """A test leaves no real-time priority behind: all that is started later would inherit it and starve the machine."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER, "a library took real-time priority; call it in a thread"


class NetworkUsed(AssertionError):
    """A test tried to reach something other than this machine."""


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sockets reach this machine only, and no name but localhost is looked up."""
    if request.node.get_closest_marker("network"):
        yield
        return
    connect, connect_ex, lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _only_loopback(self.family, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _only_loopback(self.family, address)
        return connect_ex(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not _is_loopback(name):
            raise NetworkUsed(f"a test looked up {name!r}; use a fake host on loopback")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield


def _only_loopback(family: int, address: Any) -> None:
    if family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(str(address[0])):
        raise NetworkUsed(f"a test connected to {address[0]!r}; use a fake host on loopback")


def _is_loopback(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False
