"""What Python programs call: one question with files and options at every verb, and errors in words of Python."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from tests.error_wording import errors_in_words_of_python as errors_in_words_of_python

import intermodal
from intermodal import errors
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.client.verbs import ClientVerbs
from intermodal.config.config_file import load_config
from intermodal.events import Actual, Usage
from intermodal.media.worker_client import MediaWorker
from intermodal.testing import FakeHost
from intermodal.workloads import workload_keys
from intermodal.workloads.workload import SCHEMA

ANSWER = "Four words <b>of</b> answer."
VERBS = ("ask", "plan", "explain", "stream", "stream_text", "run")


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer=ANSWER) as made:
        yield made


@pytest.fixture
def client(host: FakeHost) -> Iterator[intermodal.Client]:
    talker = ServedRow(id="acme/talker-70b", served_as="talker", context=8192, input_mtok=1.0, output_mtok=2.0)
    row = HostRow(id="box", base_url=host.base_url, forced_json=True, models=(talker,))
    with intermodal.Client(msgspec.structs.replace(load_config(os.environ), hosts=(row,))) as made:
        yield made


def test_words_stream_in_one_loop(client: intermodal.Client) -> None:
    words = list(client.stream_text("How many?", ("notes.txt", b"four"), model="talker-70b"))
    assert "".join(words) == ANSWER
    assert len(words) > 1


@pytest.mark.anyio
async def test_words_stream_in_one_loop_of_async_code(client: intermodal.Client) -> None:
    words = [word async for word in client.asynchronous.stream_text("How many?", model="talker-70b")]
    assert "".join(words) == ANSWER
    await client.asynchronous.aclose()


def test_a_media_worker_that_dies_beside_a_question_is_told_as_such(
    client: intermodal.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(self: MediaWorker, data: bytes, *, name: str = "") -> None:
        raise errors.RuntimeCrashed("the media worker ended", where=name)

    monkeypatch.setattr(MediaWorker, "probe", probe)
    with pytest.raises(errors.RuntimeCrashed, match="worker ended"):
        client.plan("What is on it?", ("a.wav", b"RIFF\0\0\0\0WAVEfmt "), model="talker-70b")


def test_every_verb_takes_a_question_with_files_and_options(client: intermodal.Client, host: FakeHost) -> None:
    asked: dict[str, Any] = {"model": "talker-70b", "max_tokens": 17}
    file = ("notes.txt", b"It was four.")
    plan = client.plan("How many?", file, **asked)
    assert plan.chosen.endpoint == "box:acme/talker-70b"
    assert client.explain("How many?", file, **asked) == str(plan) == intermodal.explain(plan)
    assert host.attempts == [], "planning asks nobody"
    result = client.run("How many?", file, **asked)
    events = list(client.stream("How many?", file, **asked))
    assert result.text == intermodal.fold(events).text == ANSWER
    assert client.run("How many?", file, plan=plan, **asked).text == ANSWER
    for attempt in host.attempts:
        assert attempt.json["max_tokens"] == 17
        assert "It was four." in attempt.text
        assert "notes.txt" in attempt.text, "bytes have the name they were given"
    with pytest.raises(intermodal.OutputInvalid):
        client.run("How many?", schema={"type": "object"}, model="talker-70b")


def test_a_request_made_before_says_everything_by_itself(client: intermodal.Client) -> None:
    request = intermodal.make_request("How many?", model="talker-70b")
    plan = client.plan(request)
    assert client.run(request, plan).text == client.run(request, plan=plan).text == ANSWER
    with pytest.raises(intermodal.UsageError, match="options of its own beside it; give them to make_request"):
        client.plan(request, max_tokens=3)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("wrong", [b"How many?", ["How many?"], None])
def test_a_wrong_first_argument_is_refused_at_once(client: intermodal.Client, verb: str, wrong: Any) -> None:
    with pytest.raises(intermodal.UsageError, match="the first argument is .*, neither a question nor a Request"):
        getattr(client, verb)(wrong)


@pytest.mark.parametrize("verb", ["stream", "stream_text"])
def test_async_streams_refuse_a_wrong_argument_before_the_first_event(verb: str) -> None:
    with pytest.raises(intermodal.UsageError, match="no option named colour"):
        getattr(intermodal.AsyncClient(), verb)("How many?", colour="red")


def test_an_answer_says_what_it_took_and_shows_itself(client: intermodal.Client) -> None:
    answer = client.ask("How many?", model="talker-70b", deadline=30)
    assert answer.usage.input_tokens and answer.usage.output_tokens
    usage = answer.usage
    assert answer.cost == pytest.approx((usage.input_tokens + 2 * usage.output_tokens) / 1e6)
    assert answer.seconds > 0
    assert answer.notes == answer.result.notes
    shown = answer._repr_html_()
    assert "Four words &lt;b&gt;of&lt;/b&gt; answer." in shown, "what a model said is no markup"
    assert f"{usage.output_tokens} tokens out" in shown
    assert "<svg" in shown


def test_what_a_run_and_a_plan_say_is_plain_data(client: intermodal.Client, host: FakeHost) -> None:
    host.answer = "word " * 400
    answer = client.ask("How many?", model="talker-70b", max_tokens=3)
    plan = client.plan("How many?", model="talker-70b", max_tokens=3)
    assert any("allow more with" in note for note in answer.notes)
    assert msgspec.json.decode(msgspec.json.encode(answer.result))["notes"] == list(answer.notes)
    assert msgspec.json.decode(msgspec.json.encode(plan))["id"] == plan.id


def test_tokens_that_no_step_reported_are_unknown_and_not_zero() -> None:
    told = intermodal.Result(
        actuals=(
            Actual(step="a", seconds=1, usage=Usage(input_tokens=3)),
            Actual(step="b", seconds=1, usage=Usage(input_tokens=4, output_tokens=5)),
        )
    )
    assert told.usage == Usage(input_tokens=7, output_tokens=5)
    assert intermodal.Result().usage == Usage()


def test_models_are_listed_and_found_by_name(client: intermodal.Client) -> None:
    every = client.models()
    assert "box:acme/talker-70b" in [endpoint.id for endpoint in every]
    ready = client.models(ready=True)
    assert {endpoint.id for endpoint in ready} < {endpoint.id for endpoint in every}
    assert all(endpoint.ready for endpoint in ready)
    (found,) = client.models("talker-70b")
    assert (found.model.id, found.price.output_mtok) == ("acme/talker-70b", 2.0)
    with pytest.raises(intermodal.UnknownModel, match="no model named talker-71x"):
        client.models("talker-71x")
    with pytest.raises(intermodal.UsageError, match="^name=3 is not a name"):
        client.models(3)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_call_is_estimated_by_its_models_rules_and_nobody_is_asked(
    client: intermodal.Client, host: FakeHost, media: Path
) -> None:
    photo = media / "photo-coffee.jpg"
    made = client.estimate("What is it?", photo, model="gpt-4o", out_tokens=100, day="2026-11-25")
    text, picture, answer = made.count.parts
    assert (text.piece.kind, picture.piece.kind, answer.piece.kind) == ("text", "image", "output")
    assert picture.tokens.known and picture.tokens.certainty == "exact"
    assert answer.tokens.mid == 100
    assert made.usd.known and made.usd.mid > 0
    own = client.estimate("What is it?", model="acme/talker-70b", out_tokens=4000)
    assert 0.008 <= own.usd.low < 0.0081, "a row of one's own has its own price"
    with pytest.raises(intermodal.UsageError, match="nothing to count"):
        client.estimate("", model="gpt-4o")
    with pytest.raises(intermodal.UsageError, match="^day: 'soon' is not a day"):
        client.estimate("Hi", model="gpt-4o", day="soon")
    for wrong in ({"model": 3}, {"out_tokens": "7"}, {"out_tokens": -1}, {"cached": -1}, {"day": 3}):
        with pytest.raises(intermodal.UsageError, match=f"^{next(iter(wrong))}"):
            client.estimate("Hi", **{"model": "gpt-4o", **wrong})  # type: ignore[arg-type]
    assert host.attempts == []


WORKLOAD: dict[str, Any] = {
    "name": "letters", "requests": {"per_month": 1000}, "prompt": "Who wrote <b>this</b>?",
    "parts": ({"letters": 4000},), "output": {"tokens": 100},
    "policy": {"model": "acme/talker-70b"}, "plans": [{"name": "box & all"}, {"name": "too dear", "max_cost": 1e-9}],
}  # fmt: skip


def test_a_months_bill_is_a_value_that_shows_itself_and_nobody_is_asked(
    client: intermodal.Client, host: FakeHost, tmp_path: Path
) -> None:
    bill = client.cost(**WORKLOAD)
    assert isinstance(bill, intermodal.MonthlyCost) and bill.requests == 1000
    paid, refused = bill.plans
    assert paid.usd["output"].mid == pytest.approx(1000 * 100 * 2e-6) and paid.total.mid > 0.2
    assert not paid.refused and refused.refused and refused.reasons
    assert str(bill).startswith("letters: 1,000 requests a month")
    shown = bill._repr_html_()
    assert shown.startswith("<svg") and "box &amp; all" in shown and "box & all" not in shown
    (tmp_path / "letters.json").write_text(json.dumps({"workload": 1, **WORKLOAD}))
    assert client.cost(tmp_path / "letters.json") == client.cost({"workload": 1, **WORKLOAD}) == bill
    twice = client.cost(str(tmp_path / "letters.json"), requests={"per_month": 2000})
    assert twice.plans[0].total.mid == pytest.approx(2 * paid.total.mid)
    assert host.attempts == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"promt": "Hi"}, "workload: no key 'promt' is known here; did you mean 'prompt'?"),
        ({"plans": [{"name": "a", "host": "gogle"}]}, "did you mean google"),
        ({"parts": [{"audio": "3 minutes"}]}, "is not a duration; write it as 10s or 1m30s"),
        ({"requests": {"per_month": float("nan")}}, "workload: nan is not a finite number"),
        ({"workload": 7}, "the first argument is int, neither a file nor a mapping"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_slip_in_a_workload_is_one_sentence(client: intermodal.Client, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(intermodal.UsageError) as refused:
        client.cost(keys.pop("workload", None), **{**WORKLOAD, **keys})
    assert said in str(refused.value)


def test_the_keys_of_a_workload_are_those_of_its_schema() -> None:
    """What a type checker takes is what the document may have."""
    schema = json.loads(SCHEMA.read_text())
    assert set(get_type_hints(workload_keys.WorkloadKeys)) == set(schema["properties"]) - {"workload"}
    for keys, part in (
        (workload_keys.Requests, schema["properties"]["requests"]),
        (workload_keys.PartKeys, schema["$defs"]["part"]),
        (workload_keys.OutputKeys, schema["properties"]["output"]),
        (workload_keys.PolicyKeys, schema["$defs"]["policy"]),
        (workload_keys.PlanKeys, schema["$defs"]["plan"]),
    ):
        assert set(get_type_hints(keys)) == set(part["properties"]), keys.__name__


def test_every_error_is_at_the_top_level() -> None:
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, intermodal.IntermodalError):
            assert getattr(intermodal, name) is value
            assert name in dir(intermodal)


@pytest.mark.parametrize(
    "function",
    [intermodal.ask, intermodal.make_request, *(getattr(intermodal.Client, verb) for verb in VERBS),
     *(getattr(intermodal.AsyncClient, verb) for verb in VERBS)],
)  # fmt: skip
def test_help_shows_every_option_with_its_type(function: Callable[..., Any]) -> None:
    shown = inspect.signature(function).parameters
    assert shown["max_cost"].annotation is float
    assert shown["deadline"].annotation == float | None
    assert "cheapest" in str(shown["objective"].annotation)
    assert not any(each.kind is each.VAR_KEYWORD for each in shown.values())


@pytest.mark.parametrize(
    "function",
    [intermodal.advise, intermodal.Client.advise, intermodal.AsyncClient.advise],
    ids=["module", "sync", "async"],
)
def test_help_of_advise_shows_its_options(function: Callable[..., Any]) -> None:
    assert inspect.signature(function).parameters["requests"].annotation == str | float


@pytest.mark.anyio
async def test_a_client_advises_from_its_own_config_and_nobody_is_asked(
    client: intermodal.Client, host: FakeHost
) -> None:
    """As ``intermodal.advise`` does, which reads the config file; here the config trusts one host alone."""
    config = msgspec.structs.replace(client.asynchronous.config, trusted_hosts=("box",))
    async with intermodal.AsyncClient(config) as other:
        advice = await other.advise("text", "text", requests="10/day", objective="best")
    with intermodal.Client(config) as same:
        again = same.advise("text", "text", requests="10/day", objective="best")
    module = intermodal.advise("text", "text", config=config, requests="10/day", objective="best")
    assert advice.endpoint == again.endpoint == module.endpoint == "box:acme/talker-70b"
    assert advice.offer.usd == again.offer.usd == module.offer.usd
    assert host.attempts == []


def test_a_client_refuses_a_wrong_option_of_advice_in_words_of_python(client: intermodal.Client) -> None:
    with pytest.raises(intermodal.UsageError, match="latency: '2s' does not fit here"):
        client.advise(["audio"], "text", latency="2s")  # type: ignore[arg-type]


OPTION = re.compile(r"(?<!pull )(?<!add opnai )(?<![\w-])--[a-z]")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_cost": 0.0, "model": "talker-70b"}, "raise max_cost"),
        ({"deadline": 0.01, "model": "talker-70b"}, "raise deadline, or allow a shorter answer (max_tokens)"),
        ({"model": "openai:openai/gpt-4o-mini"}, 'hosts=("openai",) for this once, or intermodal hosts add openai'),
        ({"private": "call.wav"}, "private: no part is named call.wav"),
        ({"pages": 2}, "pages: nothing here has pages"),
        ({"keep": "tone", "farthest": "process", "at_least": "frontier"}, "at_least"),
        ({"hosts": "opnai"}, "did you mean openai"),
    ],
)
def test_errors_speak_of_keywords_and_not_of_a_command_line(
    client: intermodal.Client, options: dict[str, Any], said: str
) -> None:
    for verb in ("ask", "plan", "run"):
        with pytest.raises(intermodal.IntermodalError) as caught:
            getattr(client, verb)("How many?", **options)
        error = caught.value
        assert said in str(error)
        for words in (str(error), error.what, error.where, error.todo, *error.reasons, *map(str, error.args)):
            assert not OPTION.search(words), words


def test_a_plan_needs_no_key_and_a_run_does(client: intermodal.Client) -> None:
    plan = client.plan("How many?", hosts="openai", model="openai:openai/gpt-4o")
    assert plan.chosen.endpoint == "openai:openai/gpt-4o" and plan.chosen.total.cost.mid > 0
    assert "cannot run yet: OPENAI_API_KEY is not set (intermodal hosts add openai)" in plan.notes
    asked: dict[str, Any] = {"hosts": "openai", "model": "openai:openai/gpt-4o"}
    for call in (lambda: client.run("How many?", plan=plan, **asked), lambda: client.ask("How many?", **asked)):
        with pytest.raises(intermodal.NoRoute, match="OPENAI_API_KEY is not set; intermodal hosts add openai"):
            call()


@pytest.mark.parametrize(
    "options",
    [
        {"requests": [20000]}, {"max_cost": "much"}, {"latency": "2s"}, {"sizes": {"image": "big"}}, {"prompt": 3},
        {"private": 3}, {"objective": "luck"}, {"sizes": 3}, {"power": 100.0}, {"hosts": [3]},
    ],
)  # fmt: skip
def test_advice_refuses_what_fits_nowhere_in_words_of_python(options: dict[str, Any]) -> None:
    with pytest.raises(intermodal.UsageError) as caught:
        intermodal.advise(["audio"], "text", **options)
    assert "--" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("takes", "makes", "options"),
    [
        (["text"], "text", {}),
        (["pdf", "image"], "json", {"keep": ["layout"], "prompt": "What is the total?"}),
        (["audio"], "text", {"keep": ["tone"], "waits": False}),
        (["image"], "scores", {"licence": "commercial"}),
        (["text"], "text", {"requests": 20_000, "hardware": "24GB"}),
    ],
)
def test_advice_is_in_words_of_python(takes: list[str], makes: str, options: dict[str, Any]) -> None:
    """What was assumed and what is missing names ``out_tokens`` and ``waits=False``, not options of a shell."""
    given = intermodal.advise(takes, makes, **options)
    told = msgspec.json.encode(given).decode()
    assert re.findall(r"(?<![\w-])--[a-z][a-z-]*", told) == []


@pytest.mark.slow
def test_advice_takes_a_months_requests_as_a_number() -> None:
    number, word = (intermodal.advise(["audio"], "text", requests=often) for often in (20000, "20000/month"))
    assert number.volume is not None and word.volume is not None
    assert number.volume.per_month == word.volume.per_month == 20000


def test_a_tuple_that_is_no_file_is_refused() -> None:
    with pytest.raises(intermodal.UsageError, match="its name, then its bytes"):
        intermodal.make_request("What is it?", (b"data", "name"))  # type: ignore[arg-type]


# ---- clients that nobody closes ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("left", ["", "del client", "words = client.stream_text('hello', hosts='box'); next(words)"])
def test_a_program_ends_that_closes_no_client(left: str, host: FakeHost, tmp_path: Path) -> None:
    config = tmp_path / "intermodal.toml"
    config.write_text(
        f'[hosts.box]\nbase_url = "{host.base_url}"\n'
        '[[hosts.box.models]]\nserved_as = "talker"\nid = "acme/talker-70b"\ncontext = 8192\n'
    )
    program = f"""
import intermodal
client = intermodal.Client()
assert isinstance(client.plan('hello', hosts='box'), intermodal.Plan)
{left}
print('the end')
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "INTERMODAL_CONFIG": str(config)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end\n", "")


def test_a_client_that_is_let_go_in_its_own_loop_is_closed_without_waiting_for_itself() -> None:
    async def let_go() -> None:
        client = held.pop()
        client._bridge._streams.clear()  # a use, so that it is this name that holds it last

    held = [intermodal.Client()]
    bridge = held[0]._bridge
    with suppress(intermodal.NoRoute):
        held[0].plan("hello")
    bridge.run(let_go)
    while any(thread.name == "intermodal-close" for thread in threading.enumerate()):
        time.sleep(0.01)
    assert not bridge.started


def test_a_client_for_synchronous_code_has_every_verb_with_the_same_arguments() -> None:
    """But those that hand out what only asynchronous code can use; ``execute`` takes what the gateway alone has."""
    inner = {"finder", "dependencies", "execute"}
    verbs = {name for name in dir(intermodal.AsyncClient) if callable(getattr(intermodal.AsyncClient, name))}
    for name in vars(ClientVerbs).keys() | vars(intermodal.AsyncClient).keys():
        if name.startswith("_") or name not in verbs or name in inner:
            continue
        own, other = getattr(intermodal.Client, name), getattr(intermodal.AsyncClient, name)
        assert list(inspect.signature(own).parameters) == list(inspect.signature(other).parameters), name


def test_synchronous_code_searches_this_machine_as_well(client: intermodal.Client) -> None:
    """Refused for what they are given, or for want of a model where none is here: either way the verb was reached."""
    with pytest.raises((intermodal.UsageError, intermodal.NoRoute)):
        client.rerank("", ["Ms Berg leads it."])
    with pytest.raises((intermodal.InputMissing, intermodal.NoRoute)):
        client.find("a dog", "nothere")
