"""Servers that intermodal starts: the real llama.cpp server, killed, shared, unloaded, in the way of each other."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.command import ANSWERED, Ran, fresh, intermodal
from tests.e2e.servers import EYE, weights_of

from intermodal import Client
from intermodal.config.config_file import state_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "smollm2-135m-instruct"
ENDPOINT = f"up.{NAME}:huggingfacetb/smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test no process of a server of this home is left, whatever the test did."""
    yield
    intermodal("down", "-q")
    assert of_this_home() == []


def of_this_home() -> list[str]:
    """Processes that were started for this test's home: a supervisor names it, and a server has it for a parent."""
    mine = str(state_dir(os.environ))
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if mine in line or any(str(Path(os.environ["INTERMODAL_HOME"])) in word for word in line):
            found.append(" ".join(line)[:200])
    return found


def up(*more: str) -> dict[str, Any]:
    ran = fresh("up", NAME, "--json", "--context", "1024", *more, timeout=200)
    assert ran.answered, ran.out + ran.err
    server: dict[str, Any] = ran.document["server"]
    return server


def listed() -> dict[str, Any]:
    ran = intermodal("up", "--json")
    assert ran.answered, ran.out + ran.err
    return {each["name"]: each for each in ran.document["servers"]}


def until(true: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, listed()
        time.sleep(0.1)


def ask(*more: str) -> Ran:
    return fresh("ask", "Say hello.", "--max-tokens", "4", "--model", ENDPOINT, "--json", *more, timeout=200)


def test_a_started_server_answers_and_is_seen_by_plans_and_the_doctor() -> None:
    server = up()
    assert (
        server["state"] == "ready" and server["context"] == 1024 and server["base_url"].startswith("http://127.0.0.1:")
    )
    ran = ask()
    assert ran.answered, ran.out + ran.err
    plan = intermodal("explain", "Say hello.", "--model", ENDPOINT)
    assert ENDPOINT in plan.out and "to load" not in plan.out and "not running" not in plan.out
    found = {(f["area"], f["name"]): f for f in intermodal("doctor", "--json").document["findings"]}
    assert found["up", NAME]["state"] == "ok" and "of memory" in found["up", NAME]["what"]
    assert str(server["port"]) in found["up", NAME]["what"]


def test_the_server_listens_on_loopback_and_its_key_is_not_exposed() -> None:
    server = up()
    process = psutil.Process(server["pid"])
    doors = [each.laddr for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    assert [(door.ip, door.port) for door in doors] == [("127.0.0.1", server["port"])]
    record = next((state_dir(os.environ) / "up").glob(f"*/{NAME}/state.json"))
    key = json.loads(record.read_text())["key"]
    assert record.stat().st_mode & 0o077 == 0
    assert key and key not in " ".join(process.cmdline()) and key not in intermodal("up", "--json").out
    assert key not in (state_dir(os.environ) / "logs" / f"{NAME}.log").read_text(errors="replace")
    refused = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{server['base_url']}/chat/completions", "-d", "{}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.stdout == "401"


def test_four_processes_at_once_share_one_server() -> None:
    command = [sys.executable, "-m", "intermodal.cli.main", "up", NAME, "--json", "--context", "1024"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(4)]
    documents = [json.loads(each.communicate(timeout=200)[0]) for each in running]
    assert [each.returncode for each in running] == [0] * 4
    assert len({each["server"]["pid"] for each in documents}) == 1
    assert sorted(each["started"] for each in documents) == [False, False, False, True]
    assert len(of_this_home()) == 2  # a supervisor and its server


def test_a_server_that_is_killed_is_there_again() -> None:
    before = up()
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        now = listed()[NAME]  # of one moment: the old one is listed as ready until its end is noticed
        return bool(now["state"] == "ready" and now["pid"] != before["pid"])

    until(back)
    after = listed()[NAME]
    assert after["crashes"] == 1 and after["port"]
    assert ask().answered


def test_a_run_that_comes_while_it_restarts_waits_for_it() -> None:
    before = up()
    os.kill(before["pid"], signal.SIGKILL)
    ran = ask()
    assert ran.answered, ran.out + ran.err


def test_a_server_that_keeps_crashing_is_given_up_and_that_is_said(tmp_path: Path) -> None:
    """It comes up as long as its file is whole; then the file is gone, as when a disk is taken away."""
    model = tmp_path / "doomed.gguf"
    shutil.copy(weights_of(NAME), model)
    ran = fresh("up", str(model), "--name", "doomed", "--context", "512", "--json", timeout=200)
    assert ran.answered, ran.out + ran.err
    model.unlink()
    os.kill(ran.document["server"]["pid"], signal.SIGKILL)
    until(lambda: listed()["doomed"]["state"] == "failed", 120)
    failed = listed()["doomed"]
    assert "given up after 6 crashes" in failed["reason"] and failed["port"] is None
    until(lambda: of_this_home() == [])  # its supervisor says so first, and then ends
    found = {f["name"]: f for f in intermodal("doctor", "--json").document["findings"] if f["area"] == "up"}
    assert found["doomed"]["state"] == "broken" and "given up" in found["doomed"]["what"]
    assert "up.doomed" not in intermodal("models", "--json", "--all").out


def test_what_a_killed_supervisor_leaves_is_ended_and_a_run_starts_it_again() -> None:
    before = up()
    supervisor = psutil.Process(psutil.Process(before["pid"]).ppid())
    supervisor.kill()
    until(lambda: listed()[NAME]["state"] == "stopped")
    assert "supervisor was gone" in listed()[NAME]["reason"] and of_this_home() == []
    assert ask().answered
    assert listed()[NAME]["state"] == "ready"


def test_a_record_that_names_a_process_of_another_start_time_touches_no_process() -> None:
    """After a reboot the id of the supervisor belongs to somebody else."""
    up()
    intermodal("down", "-q")
    up("--later")
    folder = next((state_dir(os.environ) / "up").glob(f"*/{NAME}"))
    from intermodal.store.process_identity import identity

    host, boot, pid, start = identity().split("/")
    other = f"{host}/{boot}/{pid}/{int(start) - 1}"  # this very process, had it begun earlier
    state = {"phase": "ready", "supervisor": other, "server": other, "port": 9, "key": "x", "context": 1024}
    (folder / "state.json").write_text(json.dumps(state))
    assert listed()[NAME]["state"] == "stopped"
    assert ask().answered  # and we are still here


def test_an_idle_server_is_unloaded_and_comes_back_for_the_plan_that_needs_it() -> None:
    up("--idle", "2s")
    until(lambda: listed()[NAME]["state"] == "stopped", 60)
    assert "unused for" in listed()[NAME]["reason"]
    until(lambda: of_this_home() == [])  # its supervisor says so first, and then ends
    plan = intermodal("explain", "Say hello.", "--model", ENDPOINT)
    assert "to load" in plan.out and f"up.{NAME} is not running: the run starts it" in " ".join(plan.out.split())
    ran = ask()
    assert ran.answered, ran.out + ran.err


def test_a_server_that_is_used_is_not_unloaded() -> None:
    first = up("--idle", "5s")["pid"]
    begun = time.monotonic()
    with Client() as client:
        while time.monotonic() - begun < 11:  # more than twice its idle time
            assert client.ask("Say hello.", model=ENDPOINT, max_tokens=2).text
            time.sleep(0.5)
    assert listed()[NAME]["pid"] == first


def test_a_server_only_written_down_is_started_by_the_run() -> None:
    up("--later")
    assert of_this_home() == [] and listed()[NAME]["state"] == "not started"
    asking = ("ask", "Say hello.", "--max-tokens", "2", "--model", ENDPOINT)
    command = [sys.executable, "-m", "intermodal.cli.main", *asking]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    ends = [(each.communicate(timeout=200)[1], each.returncode) for each in running]
    assert all(code in ANSWERED for _, code in ends), ends
    assert len(of_this_home()) == 2


def test_ctrl_c_while_it_starts_leaves_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "intermodal.cli.main", "up", NAME, "--context", "8192"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    until(lambda: any("servers.llama" in line for line in of_this_home()))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert of_this_home() == [] and listed() == {}


def test_down_leaves_no_process_and_no_record_but_the_log() -> None:
    up()
    ran = intermodal("down", NAME, "--json")
    assert ran.answered and ran.document["ended"] == [NAME]
    assert of_this_home() == [] and listed() == {}
    files = [path for path in state_dir(os.environ).rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert [path.name for path in files] == [f"{NAME}.log"]
    assert intermodal("down", "nobody").code == 2


def test_a_model_that_does_not_fit_is_refused_with_numbers_before_anything_starts(tmp_path: Path) -> None:
    """Its header says what it will take: nothing has to be loaded to know it."""
    pairs = {"block_count": 1_000, "context_length": 1 << 20, "embedding_length": 4096, "attention.head_count": 32}
    big = tmp_path / "big.gguf"
    big.write_bytes(header(pairs))
    ran = fresh("up", str(big), "--context", str(1 << 20), "--json")
    assert ran.code == 4 and ran.document["code"] == "does_not_fit"
    cache = 2 * 1_000 * 4096 * 2 * (1 << 20)  # bytes: keys and values, layers, width, half precision, tokens
    assert f"up to {cache / (1 << 30):.1f}"[:10] in ran.document["what"]
    assert "are free" in ran.document["what"]
    shorter = re.search(r"--context (\d+)", ran.document["todo"])
    assert shorter is None or int(shorter[1]) * cache / (1 << 20) < psutil.virtual_memory().total
    assert listed() == {} and of_this_home() == []


def header(pairs: dict[str, int]) -> bytes:
    """A GGUF file without a tensor, as its specification has it."""

    def text(word: str) -> bytes:
        return struct.pack("<Q", len(word)) + word.encode()

    said = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    said += [text(f"llama.{name}") + struct.pack("<II", 4, value) for name, value in pairs.items()]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(said)) + b"".join(said)


def test_a_projector_gives_it_vision_and_the_server_says_so() -> None:
    ran = fresh("up", NAME, "--mmproj", str(EYE), "--name", "eyes", "--context", "1024", "--json", timeout=200)
    assert ran.answered, ran.out + ran.err
    shown = intermodal("models", "show", "up.eyes:huggingfacetb/smollm2-135m-instruct", "--json")
    assert '"image"' in shown.out


def test_another_server_under_the_same_name_is_refused() -> None:
    up()
    ran = fresh("up", NAME, "--context", "512", "--json")
    assert ran.code == 2 and "--name" in ran.document["todo"]


def test_a_broken_file_is_said_with_the_servers_last_words_and_forgotten(tmp_path: Path) -> None:
    whole = weights_of(NAME).read_bytes()
    broken = tmp_path / "half.gguf"
    broken.write_bytes(whole[: len(whole) // 2])
    ran = fresh("up", str(broken), "--json", timeout=200)
    assert ran.code in (5, 7), ran.out
    assert listed() == {} and of_this_home() == []


STAND_IN = """#!{python}
import argparse, json, os, sys
p = argparse.ArgumentParser(allow_abbrev=False)  # the options of llama-server that are given to it, and no other
for option in ("-m", "-a", "--host", "--port", "-c", "-np", "-t"):
    p.add_argument(option, required=True)
for option in ("--metrics", "--no-slots", "--no-webui"):
    p.add_argument(option, action="store_true", required=True)
given = p.parse_args()
assert given.host == "127.0.0.1" and os.environ["LLAMA_API_KEY"]
said = {{"model": given.m, "projector": "", "alias": given.a, "port": int(given.port), "context": int(given.c),
        "slots": 1, "embeds": False, "threads": int(given.t)}}
os.execv(sys.executable, [sys.executable, "-P", "-m", "intermodal.local.servers.llama_server", json.dumps(said)])
"""


def test_a_llama_server_on_the_path_comes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the program: it takes the same options and no other, and serves with the package."""
    program = tmp_path / "llama-server"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert up()["program"] == "llama-server"
    assert ask().answered
