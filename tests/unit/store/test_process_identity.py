"""Who lives is never taken for dead, not for want of a descriptor either."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from intermodal.store.database import Store
from intermodal.store.process_identity import identity, is_alive, is_dead
from intermodal.store.rows import Reservation

# What another process thinks of the rows and the journal of this one, and of this one itself.
LOOKS = """
import json, sys
from pathlib import Path
from intermodal.store.database import Store
from intermodal.store.process_identity import identity, is_dead
path, known = Path(sys.argv[1]), sys.argv[2]
store, own = Store(path), identity()
store._database.ready()
files = []
if "without descriptors" in sys.argv:
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True: files.append(open("/dev/null"))
    except OSError: pass
found = {"dead": is_dead(known), "recovered": store.recover(), "knows itself": identity() == own}
for file in files: file.close()
print(json.dumps(found))
"""


def looked(store: Store, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-c", LOOKS, str(store.path), identity(), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With a call that is being answered, and an attempt journal."""
    made = Store(tmp_path / "store.sqlite3")
    made.mark_sent(made.reserve(Reservation(run="r", step="s", op="generate", task="t", endpoint="e", cost_high=0.5)))
    return made


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of descriptors")
def test_a_process_without_a_free_descriptor_takes_nobody_for_dead(store: Store) -> None:
    with closing(store.attempt_journal()):
        assert looked(store, "without descriptors") == {"dead": False, "recovered": 0, "knows itself": True}
    assert store.attempts()[0].state == "sent"


def test_who_ended_is_dead_and_of_another_host_nothing_is_certain() -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        known = identity(child.pid)
        assert is_alive(known) and not is_dead(known)
    assert is_dead(known) and not is_alive(known)
    host, boot, rest = identity().split("/", 2)
    assert is_dead(f"{host}/another/{rest}") and is_dead(f"{host}/{boot}/{rest}0")
    assert not is_dead(f"elsewhere/{boot}/{rest}0") and not is_alive(f"elsewhere/{boot}/{rest}")
