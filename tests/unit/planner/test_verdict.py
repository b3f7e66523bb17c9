"""Whether a language model is enough is told from what is needed and lost, and never from what goes in."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs, invariants, runner

from intermodal.catalog.types import UnlistedHost
from intermodal.planner import plan_from
from intermodal.planner.alternatives import alternatives
from intermodal.plans.explain import explain
from intermodal.plans.facts import MediumNeeds, Need, QuestionFacts
from intermodal.plans.plan import Plan
from intermodal.plans.verdict import Verdict

PHOTO = {"kind": "image", "name": "photo.jpg", "width": 1024, "height": 768, "density": 0.01}
LETTER = {"kind": "image", "name": "letter.png", "width": 620, "height": 877, "density": 0.3}
UNSEEN = {"kind": "image", "name": "unseen.jpg", "width": 1024, "height": 768}
CALL = {"kind": "audio", "name": "call.wav", "seconds": 63}
PAGE = {"number": 1, "width": 595, "height": 842, "chars": 1900}
TEXT_PAGE = {"kind": "document", "name": "text.pdf", "pages": [{**PAGE, "figures": 0.0}]}
CHART_PAGE = {"kind": "document", "name": "chart.pdf", "pages": [{**PAGE, "chars": 90, "figures": 0.6}]}
FILM = {"kind": "video", "name": "film.mp4", "seconds": 30, "width": 640, "height": 360, "channels": 2, "density": 0.0}


def planned(catalog: str, ask: str, *parts: dict[str, Any], consent: tuple[str, ...] = ("acme",), **more: Any) -> Plan:
    case = {"catalog": catalog, "consent": list(consent), "ask": ask, "part": list(parts), **more}
    return invariants.plan_of(runner.inputs_of(case))


LOST = [
    ("What colour is the car?", PHOTO, "appearance"),
    ("Who is in the photo?", PHOTO, "appearance"),
    ("Is the caller angry?", CALL, "tone"),
    ("Which of the voices is louder?", CALL, "speakers"),
    ("Which bar of the chart is highest?", CHART_PAGE, "figures"),
    ("What are the columns of the table?", LETTER, "layout"),
    ("How does the ball move, what motion is it?", FILM, "motion"),
]


@pytest.mark.parametrize(("ask", "part", "aspect"), LOST, ids=[aspect for _, _, aspect in LOST])
def test_a_route_that_loses_what_is_asked_about_is_not_enough(ask: str, part: dict[str, Any], aspect: str) -> None:
    made = planned("embedded", ask, part)
    assert made.chosen.lost and made.verdict.value == made.chosen.verdict == "not_enough"
    assert "is enough" not in made.headline and "not enough" in made.headline
    assert aspect in made.verdict.parts[0].needs and aspect in made.verdict.parts[0].loses
    assert f"{aspect} of {part['name']}" in made.headline or f"{aspect} and" in made.headline
    assert explain(made).replace("\n", " ").startswith(made.headline[:60]), "it is the first thing that is said"


@pytest.mark.parametrize(
    ("catalog", "ask", "part", "aspect"),
    [
        ("acme", "What colour is the car?", PHOTO, "appearance"),
        ("acme", "Is the caller angry?", CALL, "tone"),
        ("omni", "How does the ball move, what motion is it?", FILM, "motion"),
    ],
)
def test_a_model_that_sees_or_hears_keeps_what_a_language_model_would_lose(
    catalog: str, ask: str, part: dict[str, Any], aspect: str
) -> None:
    made = planned(catalog, ask, part, consent=("acme", "omni"))
    assert made.verdict.value == "broader_needed" and not made.chosen.lost
    assert "a language model is not enough, text would lose" in made.headline and aspect in made.headline
    assert made.headline.endswith("which keeps it")


def test_a_language_model_that_is_told_what_another_sees_is_not_enough_alone() -> None:
    made = planned("desk", "What colour is the car?", PHOTO)
    assert [step.op for step in made.chosen.steps][:1] == ["describe"]
    assert made.verdict.value == "broader_needed"
    assert "a language model alone is not enough" in made.headline
    assert "desk:llava/llava-7b sees it and puts it in words" in made.headline


def test_where_a_language_model_would_do_it_is_said_though_a_broader_one_answers() -> None:
    made = planned("acme", "What is the total of this invoice?", LETTER)
    assert "goes in as an image" in made.headline, "the broader route is the better one here"
    other = made.verdict.language_model
    assert made.verdict.value == "enough_with_loss" and other is not None
    assert "a language model would be enough" in made.headline
    assert other.endpoint and other.summary == "text read from the image" and other.cost.known


@pytest.mark.slow
def test_the_language_model_beside_a_broader_one_is_the_best_of_a_large_catalog() -> None:
    compared = 0
    for seed in range(6):
        inputs = runner.inputs_of({"catalog": "acme", "ask": "What is the total of this invoice?", "part": [LETTER]})
        inputs = msgspec.structs.replace(inputs, catalog=catalogs.many(300, seed=seed, hosts=12))
        made = plan_from(inputs)
        if made.verdict.value != "enough_with_loss" or made.chosen.summary != "image as it is":
            continue
        every = alternatives(inputs, most=100_000, below_floor=False)
        best = min((each for each in every if each.summary == "text read from the image"), key=lambda each: each.score)
        other = made.verdict.language_model
        assert other is not None and other.endpoint == best.endpoint, (seed, other, best.score)
        compared += 1
    assert compared > 3


def test_what_is_lost_and_not_needed_is_named_in_the_first_line() -> None:
    made = planned("embedded", "What does the caller say about the price?", CALL)
    assert made.verdict.value == "enough_with_loss" and made.verdict.parts[0].needs == ("words",)
    assert "a language model is enough" in made.headline
    assert "speakers, tone and timing of call.wav are lost, which the question does not seem to need" in made.headline


def test_a_picture_of_many_letters_is_a_page_however_far_apart_its_lines_are() -> None:
    receipt = {"kind": "image", "name": "receipt.png", "width": 1024, "height": 1536, "density": 0.09, "letters": 340}
    made = planned("embedded", "Hvad er det her?", receipt)
    assert made.verdict.value == "enough_with_loss" and made.verdict.parts[0].needs == ("words",)
    shop = {**receipt, "name": "shop.jpg", "letters": 120}
    assert "appearance" in planned("embedded", "Hvad er det her?", shop).verdict.parts[0].needs


@pytest.mark.parametrize("catalog", ["embedded", "acme"])
@pytest.mark.parametrize("part", [CALL, UNSEEN, FILM], ids=["recording", "unseen picture", "film"])
def test_a_question_that_names_nothing_makes_the_verdict_unknown_and_never_enough(
    catalog: str, part: dict[str, Any]
) -> None:
    made = planned(catalog, "Hvad er det her?", part)
    assert made.verdict.value == "unknown" and not made.verdict.parts[0].needs_known
    assert "not known" in made.headline and "is enough," not in made.headline


@pytest.mark.parametrize(
    ("needed", "unsure", "value"),
    [
        ("words", (), "enough_with_loss"),
        ("words", ("tone",), "unknown"),
        ("tone", (), "not_enough"),
        ("tone", ("speakers",), "not_enough"),
        ("words", ("timing",), "enough_with_loss"),  # which a transcript keeps
    ],
)
def test_what_a_question_may_need_makes_it_unknown_where_text_loses_it(
    needed: Any, unsure: tuple[Any, ...], value: str
) -> None:
    asked = MediumNeeds(
        medium="audio", needed=(Need(aspect=needed),), unsure=tuple(Need(aspect=aspect, score=0.5) for aspect in unsure)
    )
    inputs = runner.inputs_of({"catalog": "embedded", "ask": "Hvad er det her?", "part": [CALL]})
    facts = msgspec.structs.replace(inputs.facts, question=QuestionFacts(by="a model", media=(asked,)))
    made = invariants.plan_of(msgspec.structs.replace(inputs, facts=facts))
    assert made.verdict.value == value
    assert (value == "unknown") == ("the question may need tone of call.wav" in made.headline)


def of_spreadsheet(ask: str, *parts: dict[str, Any], origins: tuple[str, ...]) -> Plan:
    """A plan about the text that was extracted from a file, and other parts."""
    sheet = {"kind": "text", "name": "sales.xlsx", "words": 120}
    inputs = runner.inputs_of({"catalog": "acme", "consent": ["acme"], "ask": ask, "part": [sheet, *parts]})
    facts = [
        part if part.name == "prompt" else msgspec.structs.replace(part, origins=each)
        for part, each in zip(inputs.facts.parts, ((), origins, ("sales.xlsx", "document")), strict=False)
    ]
    return invariants.plan_of(
        msgspec.structs.replace(inputs, facts=msgspec.structs.replace(inputs.facts, parts=tuple(facts)))
    )


def test_the_text_of_a_spreadsheet_is_not_enough_for_how_its_cells_look() -> None:
    made = of_spreadsheet("Is the cell of March red or green?", origins=("sales.xlsx", "document"))
    assert made.verdict.value == "not_enough" and "appearance of sales.xlsx is needed and lost" in made.headline
    assert made.headline.replace("\n", " ").endswith("saved as a PDF it could be seen")


@pytest.mark.parametrize(
    ("ask", "parts", "origins"),
    [
        ("What is the total written there?", (), ("sales.xlsx", "document")),
        ("Is the cell of March red or green?", (), ()),
        ("Is the logo red or green?", (PHOTO,), ("sales.xlsx", "document")),
    ],
    ids=["its words are needed", "a text file", "an image in it may be meant"],
)
def test_the_text_of_a_file_is_enough_otherwise(
    ask: str, parts: tuple[dict[str, Any], ...], origins: tuple[str, ...]
) -> None:
    made = of_spreadsheet(ask, *parts, origins=origins)
    assert "sales.xlsx" not in [part.title for part in made.verdict.parts]
    assert made.verdict.value in ("enough", "enough_with_loss", "broader_needed")


def test_an_aspect_that_the_policy_keeps_counts_as_needed() -> None:
    made = planned("acme", "Hvad er det her?", CALL, policy={"keep": ["tone"]})
    assert made.verdict.value == "broader_needed" and made.verdict.parts[0].needs == ("tone",)


@pytest.mark.parametrize(("ask", "part"), [("Hvad er det her?", TEXT_PAGE), ("Hvad er det her?", LETTER)])
def test_a_page_of_text_tells_by_itself_that_its_words_are_needed(ask: str, part: dict[str, Any]) -> None:
    assert planned("embedded", ask, part).verdict.value == "enough_with_loss"


def test_words_alone_are_enough_for_a_language_model() -> None:
    made = planned("all", "Write a haiku.", consent=("acme", "plain"))
    assert made.verdict == Verdict(value="enough")


@pytest.mark.parametrize("output", ["transcript", "embedding", "verbatim"])
def test_what_another_kind_of_model_does_takes_no_language_model(output: str) -> None:
    parts = [CALL] if output == "transcript" else []
    made = planned("voices", "" if parts else "Hello.", *parts, output=output)
    assert made.verdict.value == "no_language_model" and made.headline.startswith("no language model needed")


def test_an_embedding_of_the_words_in_a_photo_is_not_enough_either() -> None:
    made = planned("embedded", "", PHOTO, output="embedding")
    assert made.verdict.value == "not_enough"
    assert "appearance of photo.jpg is needed and lost" in made.headline


@pytest.mark.parametrize(
    ("ask", "keep", "verdict"),
    [
        ("Help me.", (), "broader_needed"),  # a photo is about what it shows, unless somebody says otherwise
        ("Help me.", ("words",), "enough_with_loss"),
        ("What colour is the car?", ("words",), "broader_needed"),  # the question says otherwise
        ("Help me.", ("tone",), "broader_needed"),  # of the call: nothing was said of the photo
    ],
)
def test_who_states_what_to_keep_of_a_photo_needs_no_more_than_that(
    ask: str, keep: tuple[str, ...], verdict: str
) -> None:
    made = planned(
        "omni", ask, PHOTO, *([CALL] if "tone" in keep else []), consent=("omni",), policy={"keep": list(keep)}
    )
    assert made.verdict.value == verdict, made.headline


# ---- what would keep it --------------------------------------------------------------------------------


def test_what_would_keep_it_is_named_with_its_price_and_what_keeps_it_out() -> None:
    made = planned("acme", "What colour is the car?", PHOTO, consent=())
    other = made.verdict.keeps
    assert other is not None and other.endpoint == "acme:acme/vista" and other.summary == "image as it is"
    assert other.cost.known and other.cost.mid > 0 and other.kept_out.startswith("no consent for host acme")
    assert f"acme:acme/vista would keep it (${other.cost.mid:.3g}), but no consent for host acme" in made.headline


def test_the_headline_names_settings_in_the_words_of_the_surface() -> None:
    inputs = runner.inputs_of({"catalog": "acme", "ask": "What colour is the car?", "part": [PHOTO]})
    assert "no consent for host acme: hosts=" in plan_from(inputs, "python").headline
    assert "--host" not in plan_from(inputs, "http").headline


def test_the_verdict_names_the_cheapest_published_model_without_consent() -> None:
    """A catalog lists few models of hosts that nobody consented to; of the others it has the cheapest beside."""
    inputs = runner.inputs_of({"catalog": "acme", "ask": "What colour is the car?", "part": [PHOTO]})
    seer = next(endpoint for endpoint in inputs.catalog.endpoints if endpoint.id == "acme:acme/vista")
    price = msgspec.structs.replace(seer.price, input_mtok=seer.price.input_mtok / 9, output_mtok=0.0)  # type: ignore[operator]
    host = msgspec.structs.replace(seer.host, id="afar")
    cheap = msgspec.structs.replace(seer, id="afar:acme/vista", host=host, price=price)
    catalog = msgspec.structs.replace(inputs.catalog, beyond=(cheap,))
    made = invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog))
    dear = invariants.plan_of(inputs).verdict.keeps
    other = made.verdict.keeps
    assert other is not None and other.endpoint == "afar:acme/vista" and "no consent for host afar" in other.kept_out
    assert dear is not None and other.cost.mid < dear.cost.mid / 8
    assert made.chosen == invariants.plan_of(inputs).chosen and made.rejected == invariants.plan_of(inputs).rejected


def test_consent_is_not_advised_where_it_would_not_do() -> None:
    far = planned("acme", "What colour is the car?", PHOTO, consent=(), policy={"farthest": "machine"})
    assert far.verdict.keeps is not None and far.verdict.keeps.endpoint == "acme:acme/vista"
    assert "nothing may leave this machine" in far.verdict.keeps.kept_out and "no consent" not in far.headline
    kept = planned("acme", "What colour is the car?", PHOTO, consent=(), policy={"private": ["image"]})
    assert kept.verdict.keeps is not None and "may not leave this machine" in kept.verdict.keeps.kept_out


def test_a_limit_that_keeps_it_out_is_said() -> None:
    made = planned("acme", "What colour is the car?", PHOTO, policy={"max_cost": 0.0001, "max_cost_stated": True})
    assert made.verdict.value == "not_enough" and made.verdict.keeps is not None
    assert "(--max-cost)" in made.verdict.keeps.kept_out and "the limit is $0.0001" in made.headline


def test_a_plan_beside_an_encoder_that_is_not_here_can_be_written_down() -> None:
    letter = {"kind": "text", "name": "letter.txt", "words": 120}
    case = {"catalog": "acme", "consent": ["acme"], "ask": "", "output": "scores", "part": [letter]}
    inputs = runner.inputs_of(case)
    away = tuple(
        msgspec.structs.replace(each, ready=False, missing="weights not here", todo="intermodal pull e5 --accept")
        if each.model.output == ("embedding",)
        else each
        for each in inputs.catalog.endpoints
    )
    inputs = msgspec.structs.replace(inputs, catalog=msgspec.structs.replace(inputs.catalog, endpoints=away))
    made = invariants.plan_of(inputs)
    told = msgspec.json.decode(msgspec.json.encode(made), type=Plan).verdict.encoder
    assert told is not None and told.kept_out == "weights not here: intermodal pull e5 --accept"
    over_http = plan_from(inputs, "http").verdict.encoder
    assert over_http is not None and over_http.kept_out == "weights not here: intermodal pull e5"


def test_labels_scored_by_a_description_need_the_model_that_describes() -> None:
    policy = {"model": "intfloat/multilingual-e5-small"}
    made = planned("desk", "", PHOTO, output="scores", policy=policy)
    assert [step.op for step in made.chosen.steps] == ["describe", "score"]
    assert made.verdict.value == made.chosen.verdict == "broader_needed" and not made.verdict.instead
    assert made.headline.startswith("labels scored by an embedding model after one conversion: a language model alone")
    assert made.headline.endswith("desk:llava/llava-7b sees it and puts it in words")


def test_where_nobody_would_keep_it_that_is_said() -> None:
    made = planned("desk", "Is the caller angry?", CALL)
    assert made.verdict.keeps is None and made.headline.endswith("nothing that is known would keep it")


def test_hosts_that_are_only_counted_may_keep_it() -> None:
    inputs = runner.inputs_of({"catalog": "embedded", "ask": "Is the caller angry?", "part": [CALL]})
    places = (
        UnlistedHost(host="far", tasks=(("audio-text-to-text", 2),)),
        UnlistedHost(host="deaf", tasks=(("text-generation", 9),)),
    )
    catalog = msgspec.structs.replace(inputs.catalog, elsewhere=places)
    made = invariants.plan_of(msgspec.structs.replace(inputs, catalog=catalog))
    assert made.headline.endswith("models of one more host may keep it, and there is no consent for them")


# ---- everywhere the same ---------------------------------------------------------------------------------


def test_programs_get_it_as_a_field_and_pictures_as_their_title() -> None:
    made = planned("embedded", "What colour is the car?", PHOTO)
    told = msgspec.json.decode(msgspec.json.encode(made))
    assert told["verdict"]["value"] == "not_enough" and told["chosen"]["verdict"] == "not_enough"
    assert told["verdict"]["parts"][0]["needs"] == ["appearance"]
    assert f">{made.headline}</title>" in made.svg()
