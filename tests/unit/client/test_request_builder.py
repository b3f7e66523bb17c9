"""From a prompt and files to a request: everything is checked before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intermodal.client import request_builder
from intermodal.core.content import BytesSource, File, PathSource, Text, UrlSource
from intermodal.core.request import JsonOutput, Message, Policy
from intermodal.errors import UsageError


def test_paths_urls_and_bytes_become_files_whose_kind_the_bytes_will_tell() -> None:
    made = request_builder.make_request(
        "What is this?", "a.png", Path("b.wav"), "https://example.org/c.pdf", b"%PDF-1.7"
    )
    parts = made.messages[-1].parts
    assert parts == (
        Text(text="What is this?"),
        File(source=PathSource(path="a.png")),
        File(source=PathSource(path="b.wav")),
        File(source=UrlSource(url="https://example.org/c.pdf")),
        File(source=BytesSource(data=b"%PDF-1.7")),
    )


@pytest.mark.parametrize("url", ["ftp://x/f", "file:///etc/passwd", "HTTPS://x/f", "s3://b/k", "data:text/plain,x"])
def test_every_scheme_is_a_url_and_never_a_mangled_path(url: str) -> None:
    assert request_builder.as_part(url) == File(source=UrlSource(url=url))


@pytest.mark.parametrize("path", ["a:b.png", "C://films/a.png", "no/such://x", "/a//b.png"])
def test_a_colon_or_two_slashes_make_no_url(path: str) -> None:
    assert request_builder.as_part(path) == File(source=PathSource(path=str(Path(path))))


def test_options_land_in_policy_and_sampling_by_name() -> None:
    made = request_builder.make_request("Hi", objective="fastest", keep=["words"], max_tokens=7)
    assert made.policy.objective == "fastest"
    assert made.policy.keep == ("words",)
    assert made.sampling.max_tokens == 7


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no option named colour.*max_cost"):
        request_builder.make_request("Hi", colour="red")


def test_an_output_that_is_a_word_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError) as raised:
        request_builder.make_request("", "call.wav", output="transcript")
    assert "'transcript' is not an output" in str(raised.value) and "TranscriptOutput" in str(raised.value)


def test_a_wrong_value_is_refused_where_it_is_given() -> None:
    with pytest.raises(UsageError, match="objective='luck' is not a value.*give default, cheapest"):
        request_builder.make_request("Hi", objective="luck")
    with pytest.raises(UsageError, match="keep='tonee' is not a value of this option; did you mean tone"):
        request_builder.make_request("Hi", keep=("words", "tonee"))
    with pytest.raises(UsageError, match="did you mean temperature"):
        request_builder.make_request("Hi", temprature=1)


@pytest.mark.parametrize(
    ("name", "value"), [("temperature", 99), ("temperature", -0.1), ("top_p", 1.1), ("max_tokens", 0)]
)
def test_a_setting_out_of_its_range_is_refused_where_it_is_given(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}={value} is out of range; give "):
        request_builder.make_request("Hi", **{name: value})


@pytest.mark.parametrize("name", ["max_cost", "deadline", "time_value"])
@pytest.mark.parametrize("value", ["a lot", -1, float("nan"), float("inf")])
def test_a_limit_that_is_no_number_is_refused_where_it_is_given(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}=.* is not a limit"):
        request_builder.make_request("Hi", **{name: value})


@pytest.mark.parametrize("file", [3, None, object(), ["a.png"]])
def test_an_argument_that_is_not_a_file_is_refused(file: Any) -> None:
    with pytest.raises(UsageError, match=f"{type(file).__name__} is not a file; pass a path"):
        request_builder.make_request("Hi", file)


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_asking_nothing_is_an_error(prompt: str) -> None:
    with pytest.raises(UsageError, match="nothing was asked"):
        request_builder.make_request(prompt)


def test_history_comes_before_the_question_and_after_the_system_instruction() -> None:
    earlier = request_builder.with_answer((Message(role="user", parts=(Text(text="One?"),)),), "1")
    made = request_builder.make_request("Two?", system="Be short.", history=earlier)
    assert [message.role for message in made.messages] == ["system", "user", "assistant", "user"]


def test_a_schema_asks_for_json() -> None:
    made = request_builder.make_request(
        "Total?", schema={"type": "object", "properties": {"total": {"type": "number"}}}
    )
    assert isinstance(made.output, JsonOutput)


def test_parts_are_counted_through_all_messages() -> None:
    made = request_builder.make_request("Q", "x.txt", system="S")
    assert [(index, role) for index, role, _ in made.parts()] == [(0, "system"), (1, "user"), (2, "user")]


def test_one_label_may_be_given_alone_and_a_limit_must_be_one() -> None:
    assert request_builder.make_request("Hi", private="audio").policy.private == ("audio",)
    with pytest.raises(UsageError, match="max_cost"):
        request_builder.make_request("Hi", max_cost=-1)


def test_something_else_than_text_as_a_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="not text"):
        request_builder.make_request(5)  # type: ignore[arg-type]


def test_the_next_turn_of_a_conversation_is_bound_as_the_turns_before() -> None:
    turns = request_builder.with_answer(request_builder.make_request("What is said?", "call.wav").messages, "A secret.")
    before = Policy(private=("audio",), farthest="machine", pages=(1, 2))
    policy = request_builder.next_turn(request_builder.make_request("And?", history=turns, pages=(3,)), before).policy
    assert policy.private == ("audio", "answer")
    assert policy.farthest == "machine"
    assert policy.pages == (3,)


def test_answers_made_of_released_text_may_leave_as_it_may() -> None:
    turns = request_builder.with_answer(request_builder.make_request("What is said?", "call.wav").messages, "Words.")
    before = Policy(private=("audio",), release=("audio:text",))
    policy = request_builder.next_turn(request_builder.make_request("And?", history=turns), before).policy
    assert policy.private == ("audio",)
    assert policy.release == ("audio:text",)


def test_labels_of_the_config_bind_every_request_and_names_only_the_file_they_name() -> None:
    with_it = request_builder.with_config_labels(
        request_builder.make_request("Hi", "/home/me/call.wav"), ("image", "call.wav")
    )
    assert with_it.policy.private == ("image", "call.wav")
    assert request_builder.with_config_labels(
        request_builder.make_request("Hi"), ("image", "call.wav")
    ).policy.private == ("image",)
