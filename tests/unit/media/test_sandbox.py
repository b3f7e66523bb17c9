"""What ``doctor`` says of the sandbox holds: each mechanism is tried as code would that took the worker over."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from intermodal.cli.doctor import about_sandbox
from intermodal.media import sandbox
from intermodal.media.worker_client import MediaWorker

linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")

TRIES = """
import ctypes, errno, json, os, socket, subprocess, sys, threading, time
from intermodal.media import sandbox
sandbox.apply_sandbox()
found = {}
def tried(name, attempt):
    try:
        attempt()
        found[name] = "done"
    except OSError as error:
        found[name] = errno.errorcode[error.errno]
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
tried("TCP", lambda: socket.create_connection(("127.0.0.1", 9), 1))
tried("UDP", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
tried("unix socket", lambda: socket.socket(socket.AF_UNIX))
tried("exec", lambda: os.execv("/bin/true", ["true"]))
tried("subprocess", lambda: subprocess.run(["/bin/true"], check=False))
tried("fork", os.fork)
tried("clone3", lambda: call(435, ctypes.create_string_buffer(88), 88))
tried("kill", lambda: os.kill(os.getppid(), 0))
tried("trace", lambda: libc.ptrace(0, 0, 0, 0) and call(101, 0, 0, 0, 0))
tried("list root", lambda: os.listdir("/"))
tried("a file of the user", lambda: open(sys.argv[1]))
tried("its environment", lambda: open(f"/proc/{os.getppid()}/environ"))
tried("write", lambda: open(sys.argv[1], "w"))
tried("make a file", lambda: open(sys.argv[1] + ".new", "w"))
tried("remove", lambda: os.unlink(sys.argv[1]))
tried("write beside Python", lambda: open(os.path.join(sys.prefix, "x"), "w"))
tried("a module", lambda: open(json.__file__).close())
import xml.dom.minidom, decimal
thread = threading.Thread(target=lambda: tried("a thread's socket", lambda: socket.socket()))
thread.start(); thread.join()
print(json.dumps({"held": sandbox.active_mechanisms(), "found": found}))
"""


@linux
def test_code_that_took_the_process_over_reaches_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each in the kernel: soft limits are as wide here as the user has them."""
    secret = tmp_path_factory.mktemp("home") / "secret.txt"
    secret.write_text("secret")
    ran = subprocess.run([sys.executable, "-P", "-c", TRIES, str(secret)], capture_output=True, text=True, check=True)
    said = json.loads(ran.stdout)
    found: dict[str, str] = said["found"]
    assert found.pop("a module") == "done"
    if "seccomp" in said["held"]:
        assert found.pop("clone3") == "ENOSYS"
        assert {found.pop(name) for name in ("TCP", "UDP", "unix socket", "exec", "subprocess", "fork",
                                             "kill", "trace", "a thread's socket")} == {"EPERM"}  # fmt: skip
    if "landlock" in said["held"]:
        files = ("list root", "a file of the user", "its environment", "write", "make a file", "remove",
                 "write beside Python")  # fmt: skip
        assert {found.pop(name) for name in files} == {"EACCES"}
    assert secret.read_text() == "secret" and not secret.with_suffix(".txt.new").exists()


@linux
def test_this_kernel_has_what_the_tests_are_about() -> None:
    """Where it fails, the kernel is older than 5.13 or was built without; then nothing above was tried."""
    ran = subprocess.run(
        [sys.executable, "-c",
        "from intermodal.media import sandbox; sandbox.apply_sandbox(); print(*sandbox.active_mechanisms())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if ran.stdout.split() != ["landlock", "seccomp"]:
        pytest.skip(f"this kernel has only: {ran.stdout.strip() or 'nothing'}")
    assert sandbox.active_mechanisms() == (), "nothing holds the tests themselves"


@pytest.mark.anyio
async def test_the_worker_is_held_by_all_that_it_says() -> None:
    async with MediaWorker() as worker:
        found = await worker.fences()
        assert found.keys() == set(sandbox.PROBED_LIMITS) and found["opening"]
        status = Path(f"/proc/{worker.pid}/status").read_text() if sys.platform == "linux" else ""
        if "Seccomp:\t2" in status:
            assert found["network"] and found["programs"] and found["processes"] and found["memory"]
        assert await worker.fences() == found, "trying leaves the seal as it was"


def test_doctor_says_what_stands_and_what_does_not() -> None:
    everything = dict.fromkeys(sandbox.PROBED_LIMITS, True)
    assert about_sandbox(everything).what == (
        "media are decoded in a separate process, which opens no file and no socket, in bounded memory; even under "
        "the control of a malicious file it cannot: read files other than Python's own, write files, reach the "
        "network, start programs, start processes"
    )
    macos = about_sandbox({**dict.fromkeys(sandbox.PROBED_LIMITS, False), "opening": True})
    assert macos.state == "ok" and "in memory that this system does not bound" in macos.what
    assert "under the control of a malicious file it could: read files" in macos.what and "cannot" not in macos.what
    assert about_sandbox(dict.fromkeys(sandbox.PROBED_LIMITS, False)).state == "broken"


@pytest.mark.slow
@linux
@pytest.mark.anyio
async def test_the_memory_of_a_job_is_its_own_and_not_that_of_the_one_before() -> None:
    """The worker reads what it takes from a file of the system that it could not open any more."""
    large = Image.new("RGB", (5_000, 5_000), "white")
    out = io.BytesIO()
    large.save(out, "PNG")
    small = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(small, "PNG")
    async with MediaWorker() as worker:
        await worker.picture(out.getvalue())
        most = worker.last.peak_memory
        await worker.picture(small.getvalue())
        assert worker.last.peak_memory < most - (50 << 20)
