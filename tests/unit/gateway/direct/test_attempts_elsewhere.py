"""The direct path calls one endpoint, and the run that continues its chat is planned for another."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.unit.gateway.direct.test_both_paths_openai_chat import picture, whole
from tests.unit.gateway.gateway_server import GatewayServer, through_the_executor

from intermodal.telemetry.request_record import RequestRecord

SEEN = [{"type": "text", "text": "What is in this image?"}, picture()]
BLIND = refusal(400, {"error": {"message": "image input is not supported", "type": "invalid_request_error"}})


def rows(url: str) -> str:
    return "".join(
        f'[hosts.{host}]\nbase_url = "{url}"\nzone = "internet"\n[[hosts.{host}.models]]\nid = "cloud/seeing"\n'
        f'served_as = "{host}"\ninput = ["text", "image"]\ncontext = 32000\ntier = "large"\n'
        f"input_mtok = {price}\noutput_mtok = {price}\n"
        for host, price in (("a", 1.0), ("b", 2.0))
    )


def test_what_one_endpoint_refused_is_not_learned_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chats are sent to a, which takes no images. The first teaches that, so the second is planned for b."""
    second, learned = threading.Event(), threading.Event()

    def script(model: str, number: int) -> ScriptedReply:
        if model == "b":
            learned.set()  # the first chat was continued
            return whole("a red square")
        if number:
            second.set()
        assert (learned if number else second).wait(300)
        return BLIND

    records: list[RequestRecord] = []
    with FaultyHost(script) as wall:
        (tmp_path / "intermodal.toml").write_text(rows(wall.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(tmp_path / "intermodal.toml"))
        with GatewayServer() as house, ThreadPoolExecutor() as threads:
            monkeypatch.setattr(house.gateway, "tell", records.append)

            def ask(number: int) -> Any:
                return house.chat(SEEN, model="cloud/seeing", max_tokens=50)

            found = [*threads.map(ask, range(2)), ask(2)]
            house.until_written()
            health = house.gateway.client.upstreams
            attempts = [(row.reservation.endpoint, row.state) for row in house.gateway.client.store.attempts(-1)]
            counted = dict(house.gateway.context.metrics.attempts)
    assert [reply.status_code for reply in found] == [200, 200, 200]
    assert (wall.asked("a"), wall.asked("b")) == (2, 3)
    assert [(lesson.endpoint, lesson.lacks) for lesson in health.learned] == [("a:cloud/seeing", ("image",))]
    assert Counter(attempts) == {("a:cloud/seeing", "void"): 2, ("b:cloud/seeing", "settled"): 3}
    assert counted == {("a:cloud/seeing", "unsupported_modality"): 2, ("b:cloud/seeing", "ok"): 3}
    assert [reply.headers["x-intermodal-attempts"] for reply in found] == ["2", "2", "1"]
    assert sorted(record.attempts for record in records) == [1, 2, 2]
    assert [record.endpoint for record in records] == ["b:cloud/seeing"] * 3


GONE = {
    "unknown": refusal(404, {"error": {"message": "The model `a` does not exist", "code": "model_not_found"}}),
    "gone": refusal(410, {"error": {"message": "This model has reached the end of its life"}}),
    "retired": refusal(400, {"error": {"message": "The model was decommissioned", "code": "model_decommissioned"}}),
    "renamed": refusal(400, {"error": {"message": "The supported API model names are b or c, but you passed a."}}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GONE))
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "run"])
def test_a_model_that_a_host_no_longer_serves_is_called_at_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, direct: bool
) -> None:
    answers = {"a": GONE[name], "b": whole("red")}
    with FaultyHost(lambda model, _: answers[model]) as wall:
        (tmp_path / "intermodal.toml").write_text(rows(wall.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(tmp_path / "intermodal.toml"))
        with GatewayServer() as house:
            if not direct:
                through_the_executor(house.gateway)
            found = house.chat("Which colour?", model="cloud/seeing", max_tokens=50)
            answers["b"] = GONE[name]
            left = house.chat("Which colour?", model="cloud/seeing", max_tokens=50)
            house.until_written()
            attempts = [(row.reservation.endpoint, row.state) for row in house.gateway.client.store.attempts(-1)]
    assert (found.status_code, found.json()["choices"][0]["message"]["content"]) == (200, "red")
    about = found.json()["usage"]["intermodal"]
    assert about["route"] == "b:cloud/seeing"
    assert [note for note in about["notes"] if "a:cloud/seeing does not serve this model" in note]
    assert (left.status_code, left.json()["error"]["type"]) == (502, "server_error")
    assert "check the model's name and the host's base_url" in left.json()["error"]["message"]
    spent = Counter({("a:cloud/seeing", "void"): 2, ("b:cloud/seeing", "settled"): 1, ("b:cloud/seeing", "void"): 1})
    assert Counter(attempts) == spent
