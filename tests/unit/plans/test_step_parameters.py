"""Parameters of steps: what is written is read back, and what is not understood is refused with a sentence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plans import example_plans

from intermodal.client.saved_plan import check_plan_steps
from intermodal.errors import PlanStale
from intermodal.plans.step import (
    PARAMETERS,
    Call,
    CallOp,
    ConcatenateTexts,
    DescribeImages,
    DrawImage,
    ExtractSubtitles,
    GenerateAnswer,
    ParameterPairs,
    RenderPages,
    ResizeImage,
    SampleFrames,
    SelectPages,
    SpeakText,
    StepParameters,
    TranscribeSpeech,
    Transform,
    TransformOp,
    parameters_of,
)

WRITTEN: list[tuple[TransformOp | CallOp, StepParameters, ParameterPairs]] = [
    ("render", RenderPages(pages=(1, 3), dpi=150), (("pages", "1,3"), ("dpi", "150"))),
    (
        "render", RenderPages(pages=(2,), cut_out_figures=True, dpi=200),
        (("pages", "2"), ("figures", "cut out"), ("dpi", "200")),
    ),
    ("select", SelectPages(pages=(2,), left_out=()), (("pages", "2"), ("left_out", ""))),
    (
        "frames", SampleFrames(by_scene=True, most=12, max_side=768),
        (("frames", "scenes"), ("most", "12"), ("max_side", "768")),
    ),
    ("frames", SampleFrames(fps=0.333, most=64), (("fps", "0.333"), ("most", "64"))),
    ("subtitles", ExtractSubtitles(track=0, timed=True), (("track", "0"), ("times", "each"))),
    ("resize", ResizeImage(max_side=2000), (("max_side", "2000"),)),
    ("concat", ConcatenateTexts(), ()),
    (
        "transcribe", TranscribeSpeech(format="srt", language="fr", into="en", separate_channels=True),
        (("format", "srt"), ("language", "fr"), ("translate", "en"), ("channels", "apart")),
    ),
    (
        "describe", DescribeImages(question_digest="0a1b2c3d", max_tokens=160),
        (("question", "0a1b2c3d"), ("max_tokens", "160")),
    ),
    (
        "generate", GenerateAnswer(max_tokens=512, json="prompted", repairs=1),
        (("max_tokens", "512"), ("json", "prompted"), ("repair", "1")),
    ),
    ("speak", SpeakText(voice="", format="wav"), (("voice", ""), ("format", "wav"))),
    (
        "draw", DrawImage(size=(512, 768), count=2, steps=20, guidance=7.5, sampler="euler_a", negative="text"),
        (
            ("size", "512x768"), ("count", "2"), ("steps", "20"), ("guidance", "7.5"), ("sampler", "euler_a"),
            ("negative", "text"),
        ),
    ),
]  # fmt: skip


def step(op: TransformOp | CallOp, params: ParameterPairs) -> Transform | Call:
    decoded: Transform | Call = msgspec.convert(
        {
            "step": "call" if op in CALLS else "transform", "id": "0a1b2c3d", "op": op, "inputs": ["part:0"], "part": 0,
            "title": "", "params": params, "task": "text-generation", "endpoint": "acme:acme/vista",
        },
        Transform | Call,
    )  # fmt: skip
    return decoded


CALLS = ("read", "transcribe", "describe", "generate", "translate", "embed", "speak", "score", "draw")


@pytest.mark.parametrize(("op", "parameters", "pairs"), WRITTEN)
def test_parameters_have_the_form_that_stored_plans_have(
    op: TransformOp | CallOp, parameters: StepParameters, pairs: ParameterPairs
) -> None:
    assert parameters.pairs() == pairs
    assert parameters_of(step(op, pairs)) == parameters


@pytest.mark.parametrize(
    ("written", "numbers"), [("1,3", (1, 3)), ("2-3", (2, 3)), ("1,2-3", (1, 2, 3)), ("", ()), ("3", (3,))]
)
def test_page_lists_may_state_ranges(written: str, numbers: tuple[int, ...]) -> None:
    assert RenderPages.parameters_of(step("render", (("pages", written),))).pages == numbers


@given(st.lists(st.integers(1, 2000), unique=True).map(sorted).map(tuple))
def test_page_lists_are_read_as_they_are_written(pages: tuple[int, ...]) -> None:
    written = RenderPages(pages=pages)
    assert RenderPages.parameters_of(step("render", written.pairs())) == written


@pytest.mark.parametrize("op", PARAMETERS)
def test_every_operator_refuses_a_parameter_that_it_does_not_have(op: TransformOp | CallOp) -> None:
    needed: ParameterPairs = {"resize": (("max_side", "1"),), "subtitles": (("track", "1"),)}.get(op, ())
    with pytest.raises(PlanStale, match=rf"step 0a1b2c3d \({op}\): the parameter 'colour' is unknown; known: "):
        parameters_of(step(op, (*needed, ("colour", "red"))))


@pytest.mark.parametrize(
    ("op", "pairs", "said"),
    [
        ("resize", (), "the parameter 'max_side' is missing"),
        ("resize", (("max_side", "wide"),), "the parameter 'max_side' is 'wide', not a whole number"),
        ("resize", (("max_side", "9"), ("max_side", "10")), "a parameter is stated twice"),
        ("resize", (("max_side", "9"), ("detail", "fine")), "'detail' is 'fine', not one of auto, low, high, original"),
        ("render", (("pages", "1-"),), "the parameter 'pages' is '1-', not page numbers such as 1,3-5"),
        ("render", (("pages", "1-999999999999"),), "not page numbers such as 1,3-5"),
        ("draw", (("size", "large"),), "the parameter 'size' is 'large', not a size such as 1024x768"),
        ("demux", (("channels", "mixed"),), "the parameter 'channels' is 'mixed', not 'apart'"),
    ],
)
def test_a_malformed_parameter_is_named(op: TransformOp | CallOp, pairs: ParameterPairs, said: str) -> None:
    with pytest.raises(PlanStale) as caught:
        parameters_of(step(op, pairs))
    assert said in str(caught.value)


def test_a_plan_with_an_unknown_parameter_in_a_fallback_is_refused() -> None:
    plan = example_plans.film()
    check_plan_steps(plan, parts=3)
    (last,) = plan.fallbacks[0].steps
    newer = msgspec.structs.replace(last, params=(("json", "forced"), ("beam", "4")))
    fallback = msgspec.structs.replace(plan.fallbacks[0], steps=(newer,))
    with pytest.raises(PlanStale, match="'beam' is unknown"):
        check_plan_steps(msgspec.structs.replace(plan, fallbacks=(fallback,)), parts=3)
