"""The rate of an endpoint is drawn by each call of it, whichever way the call came about, and charged for that call."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.unit.gateway.direct.test_both_paths_openai_chat import GOOD, whole
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, priced, until

from intermodal.executor.attempt.circuit_breaker import FAILURES_TO_OPEN
from intermodal.telemetry.request_record import RequestRecord

DIRECT_AND_RUN = pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])


@contextmanager
def served(
    folder: Path, patch: pytest.MonkeyPatch, rates: str, plays: Mapping[str, ScriptedReply | Sequence[ScriptedReply]]
) -> Iterator[tuple[GatewayServer, FaultyHost]]:
    """A gateway before two hosts of one model, ``cheap`` and ``dear``, with these rates.

    ``plays``: what each says, or what it says to one request after the other, the last one again and again.
    """

    def play(model: str, number: int) -> ScriptedReply:
        said = plays[model]
        return said if isinstance(said, ScriptedReply) else said[min(number, len(said) - 1)]

    with FaultyHost(play) as wall:
        path = folder / "intermodal.toml"
        path.write_text(f"{rates}\n{priced('cheap', wall.base_url, 0.1)}\n{priced('dear', wall.base_url, 0.2)}")
        patch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield house, wall


def rate(endpoint: str, requests: int, unit: str = "rpm") -> str:
    return f'[serve.rates."{endpoint}:cloud/strong"]\n{unit} = {requests}\n'


def ask(house: GatewayServer, more: Mapping[str, Any]) -> httpx.Response:
    return house.chat(max_tokens=1000, **more)


@DIRECT_AND_RUN
def test_a_fallback_draws_from_its_own_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    with served(tmp_path, monkeypatch, rate("dear", 2), {"cheap": refusal(401), "dear": GOOD}) as (house, wall):
        found = [ask(house, more) for _ in range(4)]
        assert [each.status_code for each in found[:2]] == [200, 200]
        assert wall.asked("dear") == 2, "a third call within a minute is not made"
        assert {each.json()["error"]["code"] for each in found[2:]} == {"credentials_refused"}, "the failure before it"
        assert "the rate that the config of this server allows" in found[2].text


@DIRECT_AND_RUN
def test_an_endpoint_draws_once_for_a_call_and_where_its_rate_has_no_room_a_fallback_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    rates = rate("cheap", 2) + rate("dear", 2)
    with served(tmp_path, monkeypatch, rates, {"cheap": GOOD, "dear": GOOD}) as (house, wall):
        found = [ask(house, more) for _ in range(5)]
        assert [each.status_code for each in found] == [200, 200, 200, 200, 429]
        assert (wall.asked("cheap"), wall.asked("dear")) == (2, 2)
        assert [each.headers["x-intermodal-route"] for each in found[:4]] == [*2 * ["cheap:cloud/strong"],
                                                                            *2 * ["dear:cloud/strong"]]  # fmt: skip
        assert 1 <= int(found[4].headers["retry-after"]) <= 30
        assert found[4].json()["error"]["code"] == "rate_limit_exceeded"


@DIRECT_AND_RUN
def test_of_two_endpoints_without_room_the_one_that_has_it_soonest_is_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    """A minute of the first has no room for this call, and one of the other has for one."""
    rates = rate("cheap", 100, "tpm") + rate("dear", 1)
    with served(tmp_path, monkeypatch, rates, {"cheap": GOOD, "dear": GOOD}) as (house, wall):
        assert ask(house, more).status_code == 200
        refused = ask(house, more)
        assert (refused.status_code, refused.headers["x-should-retry"]) == (429, "true")
        assert refused.json()["error"]["message"].startswith("dear:cloud/strong: has reached the rate")
        assert (wall.asked("cheap"), wall.asked("dear")) == (0, 1)


def test_a_chat_that_is_not_direct_for_want_of_room_says_so_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[RequestRecord] = []
    with served(tmp_path, monkeypatch, rate("cheap", 1), {"cheap": GOOD, "dear": GOOD}) as (house, _):
        monkeypatch.setattr(house.gateway, "tell", records.append)
        for _ in range(2):
            ask(house, {})
        until(lambda: len(records) == 2)
    assert [record.not_direct for record in records] == ["", "the rate of its endpoint has no room"]
    assert [record.endpoint for record in records] == ["cheap:cloud/strong", "dear:cloud/strong"]


MANY = {"prompt_tokens": 7, "completion_tokens": 100_000, "total_tokens": 100_007}
BUSY = refusal(503, headers={"x-should-retry": "false"})  # certainly not charged
BROKEN = refusal(500, headers={"x-should-retry": "false"})  # perhaps charged, at its upper bound


@DIRECT_AND_RUN
@pytest.mark.parametrize("failure", [BUSY, BROKEN], ids=["free", "maybe"])
def test_tokens_of_a_fallback_are_charged_to_its_own_rate_and_not_to_the_first_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any], failure: ScriptedReply
) -> None:
    rates = rate("cheap", 5000, "tpm") + rate("dear", 5000, "tpm")
    plays = {"cheap": (failure, GOOD), "dear": whole(told=MANY)}
    with served(tmp_path, monkeypatch, rates, plays) as (house, wall):
        assert ask(house, more).json()["usage"]["completion_tokens"] == 100_000
        assert (wall.asked("cheap"), wall.asked("dear")) == (1, 1)
        assert ask(house, more).status_code == 200
        assert (wall.asked("cheap"), wall.asked("dear")) == (2, 1), "the first endpoint has room"


@DIRECT_AND_RUN
def test_a_fallback_needs_no_room_in_the_rate_of_the_endpoint_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    """One attempt that may be charged and one in progress are more than its tokens a minute."""
    plays = {"cheap": BROKEN, "dear": GOOD}
    with served(tmp_path, monkeypatch, rate("cheap", 1100, "tpm"), plays) as (house, wall):
        found = ask(house, more)
        assert found.status_code == 200, found.text
        assert (wall.asked("cheap"), wall.asked("dear")) == (1, 1)


@DIRECT_AND_RUN
def test_an_attempt_that_may_be_charged_takes_its_bound_of_the_tokens_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    with served(tmp_path, monkeypatch, rate("cheap", 1100, "tpm"), {"cheap": BROKEN, "dear": GOOD}) as (house, wall):
        assert [ask(house, more).status_code for _ in range(2)] == [200, 200]
        assert (wall.asked("cheap"), wall.asked("dear")) == (1, 2), "it has no room for a second"


@DIRECT_AND_RUN
def test_an_endpoint_that_is_passed_over_is_charged_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    """Its circuit breaker is open, so what was drawn from its rate for a call is given back."""
    monkeypatch.setattr("intermodal.executor.attempt.circuit_breaker.PROBE_INTERVAL", 3600.0)
    rates = rate("cheap", FAILURES_TO_OPEN + 1)
    with served(tmp_path, monkeypatch, rates, {"cheap": BUSY, "dear": GOOD}) as (house, wall):
        asked = FAILURES_TO_OPEN + 4
        assert [ask(house, more).status_code for _ in range(asked)] == [200] * asked
        assert (wall.asked("cheap"), wall.asked("dear")) == (FAILURES_TO_OPEN, asked)


EAR = """
[hosts.ear]
base_url = "{url}"
zone = "internet"
carries = ["audio"]
[[hosts.ear.models]]
id = "ear/ear"
tasks = ["automatic-speech-recognition"]
input = ["audio"]
second = 0.00002
tier = "large"
"""
HEARD = refusal(
    200, {"text": "So it is.", "usage": {"type": "tokens", "input_tokens": 100_000, "output_tokens": 5,
                                         "total_tokens": 100_005}}, paid=True,
)  # fmt: skip


@pytest.fixture
def hearing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], GatewayServer]]:
    """A gateway, with rates, before a model of text and one that hears."""
    with ExitStack() as stack:
        wall = stack.enter_context(FaultyHost(lambda model, number: GOOD if model else HEARD))

        def served(rates: str) -> GatewayServer:
            path = tmp_path / "intermodal.toml"
            path.write_text(f"{rates}\n{EAR.format(url=wall.base_url)}\n{priced('cheap', wall.base_url, 0.1)}")
            monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            return stack.enter_context(GatewayServer())

        yield served


def spoken(house: GatewayServer, file: Path, **more: Any) -> httpx.Response:
    data = b64encode(file.read_bytes()).decode()
    sound = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return house.chat([{"type": "text", "text": "What does he say?"}, sound], max_tokens=20, **more)


def test_tokens_of_a_conversion_are_not_charged_to_the_rate_of_the_endpoint_that_answers(
    hearing: Callable[[str], GatewayServer], media: Path
) -> None:
    house = hearing(rate("cheap", 1100, "tpm"))
    found = spoken(house, media / "jfk.wav")
    assert found.headers["x-intermodal-steps"] == "transcribe ear:ear/ear; generate cheap:cloud/strong"
    assert ask(house, {}).status_code == 200, "the hundred thousand tokens are not its own"


def recordings(folder: Path, media: Path) -> tuple[Path, Path]:
    """Two recordings, so that the transcript of one is not that of the other."""
    data = (media / "jfk.wav").read_bytes()
    other = folder / "other.wav"
    other.write_bytes(data[:-8000] + bytes(8000))
    return media / "jfk.wav", other


@pytest.mark.parametrize("stream", [False, True])
def test_where_the_rate_of_a_conversion_alone_has_no_room_the_client_is_told_when_it_has(
    hearing: Callable[[str], GatewayServer], tmp_path: Path, media: Path, stream: bool
) -> None:
    house = hearing('[serve.rates."ear:ear/ear"]\nrpm = 1\n')
    first, second = recordings(tmp_path, media)
    assert spoken(house, first, stream=stream).status_code == 200
    refused = spoken(house, second, stream=stream)
    assert refused.status_code == 429, refused.text
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-should-retry"] == "true"
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert error["message"].startswith("ear:ear/ear: has reached the rate that the config of this server allows")


def test_a_conversion_that_no_minute_has_room_for_is_not_to_be_asked_for_again(
    hearing: Callable[[str], GatewayServer], media: Path
) -> None:
    house = hearing('[serve.rates."cheap:cloud/strong"]\ntpm = 5000\n[serve.rates."ear:ear/ear"]\ntpm = 1\n')
    refused = spoken(house, media / "jfk.wav")
    assert refused.status_code == 429, refused.text
    assert "retry-after" not in refused.headers and refused.headers["x-should-retry"] == "false"
