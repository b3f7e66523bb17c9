"""Speech and scores end to end, with the real voice, the real ear, real vectors and a real llama.cpp server.

The routes are made by hand: what is tested is that they do what they say. SmolLM2-135M is no good at choosing among
letters (benchmarks/results/scores.md has the numbers), so with it only the path is asserted, never who wins.
"""

from __future__ import annotations

import os

import pytest
from benchmarks.labelled import SETS
from tests.e2e.servers import LlamaServer
from tests.unit.local.runtime_fixtures import words

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.client import request_builder
from intermodal.client.async_client import AsyncClient
from intermodal.config import config_file
from intermodal.core.request import Output, ScoresOutput, SpeechOutput, TranscriptOutput
from intermodal.events import Event, Note, Result, StepProgress, TextDelta, fold
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.step import Call, Step, StepEstimate
from intermodal.testing import FakeHost

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
E5, JOE = "embedded:intfloat/multilingual-e5-small", "embedded:rhasspy/piper-en_US-joe-medium"
WHISPER, SMOLLM2 = "embedded:openai/whisper-base", "embedded:huggingfacetb/smollm2-135m-instruct"
SPEAK = Call(id="speak", op="speak", task="text-to-speech", endpoint=JOE, inputs=("step:say",), title="Speak")


def score(endpoint: str, *inputs: str, image: bool = False) -> Call:
    return Call(
        id="score", op="score", endpoint=endpoint, inputs=inputs, title="Score",
        task="zero-shot-image-classification" if image else "zero-shot-classification",
    )  # fmt: skip


async def run(
    client: AsyncClient, output: Output, prompt: str, *files: request_builder.FileLike, steps: tuple[Step, ...]
) -> tuple[Result, list[Event]]:
    request = request_builder.make_request(prompt, *files, output=output)
    prepared = await client.prepare(request)
    last = steps[-1]
    assert isinstance(last, Call)
    chosen = Candidate(id="c", steps=steps, endpoint=last.endpoint, total=StepEstimate(), score=0.0, tier="tiny")
    plan = Plan(id="p", headline="", policy_line="", objective="default", chosen=chosen)
    events = [event async for event in client.execute(prepared, plan)]
    return fold(events), events


# ---- speech ------------------------------------------------------------------------------------------


async def test_an_answer_is_spoken_and_a_transcriber_hears_the_same_words(client: AsyncClient) -> None:
    answer = "The caller wants a new invoice. It should be sent before Friday. She will pay by bank transfer."
    with FakeHost(answer=answer) as host:
        row = ServedRow(id="acme/talker", context=8192, input_mtok=1.0, output_mtok=1.0)
        config_file.add_host(os.environ, HostRow(id="box", base_url=host.base_url, models=(row,)))
        client.config = config_file.load_config(os.environ)
        say = Call(
            id="say", op="generate", task="text-generation", endpoint="box:acme/talker", inputs=("part:0",), title="Say"
        )
        result, events = await run(client, SpeechOutput(), "What does she want?", steps=(say, SPEAK))
    assert result.text == answer
    assert result.endpoint == "box:acme/talker"
    assert result.speech is not None
    assert 4 < result.speech.seconds < 12
    first_word = next(place for place, event in enumerate(events) if isinstance(event, TextDelta))
    spoken = [place for place, event in enumerate(events) if isinstance(event, StepProgress) and event.step == "speak"]
    assert len(spoken) == 3
    assert first_word < spoken[0]
    hear = Call(
        id="hear", op="transcribe", task="automatic-speech-recognition", endpoint=WHISPER, inputs=("part:0",), part=0,
        title="Hear",
    )  # fmt: skip
    heard, _ = await run(client, TranscriptOutput(), "", result.speech.data, steps=(hear,))
    said, understood = words(answer), words(heard.text)
    # An ear of 74M parameters may take one word for another; the voice does not speak a text twice in the same way.
    assert sum(word in understood for word in said) >= 0.8 * len(said), understood


async def test_a_text_is_spoken_as_it_is_and_what_the_voice_cannot_say_is_said(client: AsyncClient) -> None:
    import msgspec

    verbatim = SpeechOutput(verbatim=True, format="mp3")
    step = msgspec.structs.replace(SPEAK, inputs=("part:0",))
    result, events = await run(client, verbatim, "Hello there. Привет.", steps=(step,))
    assert result.speech is not None
    assert result.speech.media_type == "audio/mpeg"
    assert [event.text for event in events if isinstance(event, Note)] == [
        "the voice does not know 6 letters of the text and spells or skips them: Привет"
    ]


# ---- scores ------------------------------------------------------------------------------------------


async def test_vectors_find_the_right_label_nine_times_in_ten(client: AsyncClient) -> None:
    right = total = 0
    for labels, rows in SETS.values():
        for answer, text in rows[1::2]:  # the other half is what the temperature was fitted on
            result, _ = await run(client, ScoresOutput(labels=labels), text, steps=(score(E5, "part:0"),))
            assert sum(result.scores.values()) == pytest.approx(1.0)
            right += max(result.scores, key=result.scores.__getitem__) == labels[answer]
            total += 1
    assert total >= 24
    assert right / total >= 0.9


async def test_a_real_server_tells_the_letters_and_their_order_changes_nothing(client: AsyncClient) -> None:
    labels = ("invoice", "recipe", "poem")
    text = "Please pay 42 euros for four chairs by bank transfer."
    one, _ = await run(client, ScoresOutput(labels=labels), text, steps=(score(SMOLLM2, "part:0"),))
    other, _ = await run(client, ScoresOutput(labels=labels[::-1]), text, steps=(score(SMOLLM2, "part:0"),))
    assert tuple(one.scores) == labels
    assert sum(one.scores.values()) == pytest.approx(1.0)
    assert one.scores == pytest.approx(other.scores, abs=0.05)  # the same two questions; its sums differ a little
    assert one.actuals[0].usage.output_tokens == 1


async def test_a_picture_reaches_a_vision_model_and_changes_its_letters(
    both: tuple[LlamaServer, LlamaServer], client: AsyncClient
) -> None:
    from tests.media.tiny_eye import world

    labels = ("a circle", "a star", "a bar chart")
    _, eye = both
    endpoint = f"eye:{eye.model}"
    found = []
    for picture in (world.shape("red", "star").png, world.chart("bar").png):
        result, _ = await run(
            client, ScoresOutput(labels=labels), "", picture, steps=(score(endpoint, "part:0", image=True),)
        )
        assert sum(result.scores.values()) == pytest.approx(1.0)
        found.append(result.scores)
    assert found[0] != pytest.approx(found[1], abs=1e-3)


async def test_what_a_vision_model_describes_is_scored_by_vectors(
    both: tuple[LlamaServer, LlamaServer], client: AsyncClient
) -> None:
    """The cascade that an image takes where no eye can choose among letters."""
    from tests.media.tiny_eye import world

    labels = ("a picture of a star", "a bar chart", "a page of printed text")
    endpoint = f"eye:{both[1].model}"
    see = Call(
        id="see", op="describe", task="image-text-to-text", endpoint=endpoint, inputs=("part:0",), part=0, title="See",
        params=(("question", "e3b0c442"), ("max_tokens", "40")),
    )  # fmt: skip
    drawn = (world.shape("red", "star").png, world.chart("bar").png, world.page().png)
    for place, picture in enumerate(drawn):
        result, _ = await run(client, ScoresOutput(labels=labels), "", picture, steps=(see, score(E5, "step:see")))
        assert max(result.scores, key=result.scores.__getitem__) == labels[place]


def test_the_benchmark_and_this_test_share_no_row_with_the_fit() -> None:
    """Odd rows fit, even ones test: every set has both, in every label."""
    for labels, rows in SETS.values():
        for half in (rows[::2], rows[1::2]):
            assert {right for right, _ in half} == set(range(len(labels)))
