"""A real llama.cpp server beside what was predicted of it: one of the user's own, and one that ``up`` starts."""

from __future__ import annotations

import os

import psutil
import pytest
from tests.e2e.command import fresh as intermodal
from tests.e2e.servers import EYE, llama_server, weights_of
from tests.e2e.test_up import ENDPOINT, NAME, nothing_left, up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
__all__ = ["nothing_left"]


def test_a_server_of_ones_own_is_compared_by_what_it_says_and_what_its_process_holds() -> None:
    with llama_server(eye=EYE) as server:
        doors = psutil.Process(server.process.pid).net_connections("tcp")
        [port] = [door.laddr.port for door in doors if door.status == psutil.CONN_LISTEN]
        address = f"http://127.0.0.1:{port}"
        found = intermodal("fit", str(weights_of(NAME)), "--mmproj", str(EYE), "--check", address, "--json")
    assert found.answered, found.out + found.err
    document = found.document
    assert document["server"]["engine"] == "llama.cpp" and document["server"]["slots"] == 1
    [process] = document["compared"]
    assert process["name"] == "process" and process["low"] * 0.9 < process["real"] < process["high"] * 1.1


def test_up_says_what_it_took_and_later_predictions_are_mended_by_that() -> None:
    before = intermodal("fit", NAME, "--ctx", "1k", "--json").document
    server = up()
    rows = {row["name"]: row for row in server["compared"]}
    for name in ("weights", "cache", "compute"):
        assert rows[name]["source"] == "log" and abs(rows[name]["error"]) < 0.001
    assert rows["process"]["inside"], rows["process"]
    again = intermodal("fit", NAME, "--check", "--json").document
    assert {row["name"] for row in again["compared"]} == set(rows) and again["correction"]
    after = intermodal("fit", NAME, "--ctx", "1k", "--json").document
    assert before["correction"] is None and after["correction"]["build"].startswith("xllamacpp")

    def width(document: dict[str, object]) -> float:
        [program] = [term for term in document["memory"] if term["name"] == "program"]  # type: ignore[attr-defined]
        return float(program["high"] - program["low"])

    assert width(after) < width(before)
    found = {(each["area"], each["name"]): each for each in intermodal("doctor", "--json").document["findings"]}
    assert "took here on" in found["up", NAME]["what"] and "took here on" in found["weights", NAME]["what"]
    embedded = "embedded:huggingfacetb/smollm2-135m-instruct"
    plan = intermodal("explain", "Say hello.", "--model", embedded, "--json").document["plan"]
    memory = plan["chosen"]["total"]["memory"]
    assert memory["high"] - memory["low"] < 0.12 * memory["mid"], "as it was measured, and no wide range"
    intermodal("down", "-q")
    later = intermodal("up", NAME, "--context", "1024", "--later", "--json").document["server"]
    assert later["memory_needed"][2] < before["places"][0]["needed"]["high"]
    assert ENDPOINT in intermodal("explain", "Say hello.", "--model", ENDPOINT).out


def test_the_words_of_requests_are_not_in_the_log_of_a_server() -> None:
    from intermodal.config.config_file import state_dir

    up()
    asked = intermodal("ask", "Say xyzzyquux twice.", "--max-tokens", "4", "--model", ENDPOINT, timeout=200)
    assert asked.answered
    log = (state_dir(os.environ) / "logs" / f"{NAME}.log").read_text(errors="replace")
    assert "buffer size" in log and "xyzzyquux" not in log
