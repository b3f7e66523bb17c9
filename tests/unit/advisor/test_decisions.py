"""The decision follows the facts: what goes in, what must be kept, what may leave, what fits, what it costs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.plans import catalogs
from tests.unit.advisor.advice_of import DAY, LAPTOP, advice, endpoints, offers, strong_here

from intermodal.advisor.advice import Advice, RouteOffer
from intermodal.advisor.advise import make_question, parse_hardware
from intermodal.advisor.candidate_catalog import candidate_catalog as everything
from intermodal.advisor.candidate_catalog import server_speed, without_dominated
from intermodal.advisor.decision import decide
from intermodal.advisor.question import hypothetical_request
from intermodal.catalog.types import Endpoint, Price
from intermodal.core.quantity import exact
from intermodal.errors import NoRoute, UsageError
from intermodal.planner import plan
from intermodal.plans.machine import Machine
from intermodal.plans.statistics import Statistics


def offer(made: Advice, use: str, place: str) -> RouteOffer:
    kind = next(each for each in made.kinds if each.use == use)
    return next(each for each in kind.offers if each.place == place)


def omni() -> Endpoint:
    """A hosted model that sees and hears."""
    return catalogs.hosted(
        catalogs.ACME, "acme/every", "large", (0.5, 2.0), inputs=("text", "image", "audio"), image_tokens="fixed:576"
    )


def test_text_needs_no_more_than_a_language_model() -> None:
    made = advice("text")
    assert made.use == "llm" and [kind.use for kind in made.kinds] == ["llm"]
    assert "a language model is enough" in made.headline
    assert [fork.answer for fork in made.path] == ["yes", "no"] and made.path[-1].leads == "llm"


def test_that_a_model_could_also_see_makes_no_difference_to_text() -> None:
    made = advice("text")
    assert made.endpoint == "acme:acme/vista-mini", "it is a vision-language model, and used as an LLM"
    assert "makes no difference" in made.headline


def test_a_layout_that_must_be_kept_needs_a_model_that_sees() -> None:
    made = advice("image", shows="text", keep=("layout",))
    assert made.use == "vision" and "layout" in made.reason
    assert not offer(made, "cascade", "hosted").there
    assert "loses layout" in offer(made, "cascade", "hosted").refused[0]
    assert made.path[-2].answer == "no", "words cannot carry it"


def test_what_a_picture_shows_decides_where_nobody_asks_for_anything() -> None:
    assert advice("image", shows="scene", prompt="What colour is the car?").use == "vision"
    assert advice("image", prompt="What is the total?", objective="cheapest").use == "cascade"


def test_a_tone_that_must_be_kept_needs_a_model_that_hears() -> None:
    made = advice("audio", keep=("tone",))
    assert made.use == "hearing" and made.endpoint == "acme:acme/sonata"
    assert "tone" in made.reason and not offer(made, "cascade", "here").there


def test_the_words_of_a_prompt_ask_for_a_tone_too() -> None:
    made = advice("audio", prompt="Is the caller angry?")
    assert made.use == "hearing" and "tone" in made.reason
    assert "loses tone" in next(kind.lost for kind in made.kinds if kind.use == "cascade")


def test_a_layout_and_a_tone_together_need_a_model_that_does_both() -> None:
    with pytest.raises(NoRoute) as stopped:
        advice("audio,image", keep=("layout", "tone"))
    assert any("loses layout" in each or "loses tone" in each for each in stopped.value.reasons)
    made = advice("audio,image", keep=("layout", "tone"), among=(*endpoints(), omni()))
    assert made.use == "omni" and made.endpoint == "acme:acme/every"
    assert [kind.use for kind in made.kinds] == ["cascade", "vision", "hearing", "omni"]


def test_nothing_may_leave_and_words_are_what_is_left() -> None:
    made = advice("pdf,image", local=True)
    assert made.use == "cascade" and made.place == "here"
    assert all(each.place == "here" for kind in made.kinds for each in kind.offers)
    assert not any(each.sends for kind in made.kinds for each in kind.offers)
    assert "no host asks anything" in made.break_even.words


def test_a_private_recording_is_answered_here_and_the_hosts_say_why_not() -> None:
    made = advice("audio", private=("audio",))
    assert made.place == "here" and made.endpoint == "desk:qwen/qwen3-8b"
    assert "private" in offer(made, "cascade", "hosted").refused[0]
    released = advice("audio", private=("audio",), release=("audio:text",))
    assert offer(released, "cascade", "hosted").there, "its text may leave"
    assert not offer(released, "hearing", "hosted").there, "the recording may not"


def test_the_reason_states_that_no_route_keeps_everything_needed() -> None:
    made = advice("image", shows="scene", prompt="What colour is the car?", local=True)
    assert made.use == "cascade" and "nothing within these limits keeps everything" in made.reason
    assert "loses appearance" in made.reason and made.offer.misses
    assert [fork.answer for fork in made.path][-2:] == ["no", "no"] and made.path[-1].leads == "cascade"


def test_hardware_that_is_too_small_says_what_it_takes() -> None:
    made = advice("text", hardware="4GB")
    here = offer(made, "llm", "here")
    assert not here.there or here.memory.high <= 4 * 2**30
    with pytest.raises(NoRoute) as stopped:
        advice("audio,image", local=True, hardware="300MB")
    assert "GiB of memory" in str(stopped.value)


def test_models_are_chosen_to_fit_the_stated_hardware() -> None:
    small, large = advice("text", hardware="2GB"), advice("text", hardware="2x24GB")
    assert offer(small, "llm", "here").endpoint != "desk:qwen/qwen3-8b"
    assert offer(large, "llm", "here").endpoint == "desk:qwen/qwen3-8b"
    assert any("2 graphics cards of 24 GiB" in each for each in large.sources)


def test_hosted_text_recognition_that_is_not_spoken_is_said_with_its_price() -> None:
    """The shipped snapshot has Mistral's and others; none of them is a route."""
    known = everything(parse_hardware("24GB", LAPTOP), DAY, hosts=("mistral",))
    names = [each.endpoint for each in known.readers]
    assert names and all("ocr" in name for name in names)
    assert not {*names} & {each.id for each in known.catalog.endpoints}
    assert known.readers[0].page is not None and known.readers[0].page > 0
    some = msgspec.structs.replace(offers(endpoints()), readers=known.readers)
    for takes, told in (("image", True), ("text", False)):
        sources = decide(make_question(takes, "text", LAPTOP), some, DAY).sources
        said = [each for each in sources if "does not speak" in each]
        assert bool(said) == told and all(names[0] in each for each in said), takes


def test_an_unknown_price_stays_unknown_and_is_never_nothing() -> None:
    nobody_says = tuple(
        msgspec.structs.replace(each, price=Price()) if each.host.id == "acme" else each for each in endpoints()
    )
    made = advice("text", among=nobody_says, requests="1000/day")
    hosted = offer(made, "llm", "hosted")
    assert hosted.there and not hosted.usd.known and not hosted.per_month.known
    assert made.place == "here", "what has no price sorts last"
    assert "price unknown a request" in str(made)
    assert not made.break_even.requests.known and "not known" in made.break_even.words


def test_a_transcript_needs_no_language_model() -> None:
    made = advice("audio", "transcript")
    assert made.use == "recognition" and "no language model needed" in made.headline
    assert offer(made, "recognition", "here").steps[-1].op == "transcribe"


def test_an_embedding_needs_no_language_model() -> None:
    made = advice("text", "embedding", requests="100/day")
    assert made.use == "embedding" and made.path[-1].leads == "embedding"


def test_speech_is_spoken_by_a_voice_or_by_a_model_that_speaks() -> None:
    made = advice("text", "speech")
    assert [kind.use for kind in made.kinds] == ["llm", "omni"]
    assert [step.op for step in offer(made, "llm", "here").steps] == ["generate", "speak"]
    assert offer(made, "omni", "hosted").endpoint == "acme:acme/talker"
    assert str(made).startswith("decision: an LLM and a speech synthesis model, hosted")
    assert advice("text", "speech", verbatim=True).use == "synthesis"


def test_a_model_that_hears_and_speaks_is_given_the_sound() -> None:
    dear = msgspec.structs.replace(catalogs.voices()[-1].price, input_audio_mtok=400.0)  # a transcript is cheaper
    some = (
        msgspec.structs.replace(each, price=dear) if each.id == "acme:acme/talker" else each for each in endpoints()
    )
    made = advice("audio", "speech", among=some)
    whole = offer(made, "omni", "hosted")
    assert whole.endpoint == "acme:acme/talker" and [step.op for step in whole.steps] == ["generate"]
    assert "transcribe" in [step.op for step in offer(made, "cascade", "hosted").steps]


@pytest.mark.parametrize("objective", ["default", "cheapest", "fastest", "best"])
def test_the_offer_that_decides_is_among_the_kinds(objective: Any) -> None:
    for takes, makes in (("text,image,audio", "speech"), ("audio", "transcript"), ("pdf", "json")):
        made = advice(takes, makes, objective=objective, at_least="tiny", among=(*endpoints(), omni()))
        assert made.offer.endpoint == made.endpoint and made.decided_use.use == made.use and made.offer.there


def test_what_comes_out_beside_the_answer_has_advice_of_its_own() -> None:
    made = advice("text", "text,embedding", requests="10/day", waits=True)
    assert made.use == "llm" and [other.use for other in made.beside] == ["embedding"]
    assert str(made).startswith("decision: an LLM and an embedding model, hosted: acme:acme/vista-mini")
    assert "beside: an embedding model, hosted: acme:acme/vector" in str(made)
    with pytest.raises(UsageError, match="transcribe it first"):
        advice("audio", "text,embedding")


def test_a_limit_on_money_or_time_holds_for_every_kind() -> None:
    made = advice("image", shows="text", max_cost=0.0007)
    assert all(each.usd.high <= 0.0007 for kind in made.kinds for each in kind.offers if each.there)
    with pytest.raises(NoRoute) as stopped:
        advice("text", latency=0.01)
    assert "deadline" in str(stopped.value)


def test_a_stated_length_is_the_length_that_is_paid() -> None:
    short, long = advice("text", out_tokens=10), advice("text", out_tokens=1000)
    for made, length in ((short, 10), (long, 1000)):
        assert made.offer.tokens_out == exact(float(length), made.offer.tokens_out.basis)
    assert short.offer.usd.mid < long.offer.usd.mid


def test_a_month_is_the_request_times_the_volume() -> None:
    made = advice("text", requests="10000/day", waits=True)
    assert made.offer.per_month.mid == pytest.approx(made.offer.usd.mid * 10_000 * 365.25 / 12)
    assert made.offer.per_month.low < made.offer.per_month.mid < made.offer.per_month.high, "ranges are kept"
    assert not advice("text").offer.per_month.known, "nobody said how many"


@pytest.mark.slow
@pytest.mark.parametrize("takes", ["text", "image", "audio", "pdf,image", "audio,image", "video"])
@pytest.mark.parametrize("objective", ["default", "cheapest", "fastest", "best"])
def test_the_decision_is_the_plan_that_the_planner_makes(takes: str, objective: Any) -> None:
    question = make_question(takes, "text", LAPTOP, objective=objective)
    request, facts = hypothetical_request(question)
    every = (*endpoints(), omni())
    made = plan(request, facts, offers(every).catalog, LAPTOP, Statistics(), DAY).chosen
    found = decide(question, offers(every), DAY)
    assert (found.endpoint, found.offer.summary) == (made.endpoint, made.summary)
    assert (found.offer.usd, found.offer.seconds, found.offer.score) == (
        made.total.cost,
        made.total.seconds,
        made.score,
    )
    for kind in found.kinds:
        for each in kind.offers:  # nothing that a use was narrowed to can be better than what was free
            free = each.there and not each.weak and objective in ("default", "cheapest")
            assert not free or each.score >= made.score - 1e-12


def test_leaving_out_what_others_beat_changes_no_plan() -> None:
    catalog = catalogs.many(1_500)
    catalog = msgspec.structs.replace(catalog, consent=tuple({each.host.id for each in catalog.endpoints}))
    fewer = without_dominated(catalog, DAY)
    assert len(fewer.endpoints) < len(catalog.endpoints)
    for takes in ("text", "image", "pdf,image", "audio"):
        request, facts = hypothetical_request(make_question(takes, "text", LAPTOP))
        one, other = (plan(request, facts, each, LAPTOP, Statistics(), DAY).chosen for each in (catalog, fewer))
        assert one == other


def test_the_same_question_gives_the_same_advice() -> None:
    assert advice("pdf,image", requests="5/hour") == advice("pdf,image", requests="5/hour")


def test_near_numbers_are_said_to_be_too_near() -> None:
    twin = catalogs.hosted(catalogs.ACME, "acme/twin", "large", (2.5, 10.0), inputs=("text", "image", "audio"))
    made = advice("audio", among=(*catalogs.embedded(), strong_here(), twin, *catalogs.acme()[3:4]))
    assert "the label says nothing" in made.matters or "too near" in made.matters


# ---- words that make no sense ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("takes", "options", "said"),
    [
        ("imge", {}, "'imge' is not a kind of content; did you mean image"),
        ("", {}, "nothing goes in"),
        ("text", {"makes": "txt"}, "'txt' is not an output kind; did you mean text"),
        ("text", {"makes": ""}, "no output is named"),
        ("text", {"requests": "many"}, "is not a request rate"),
        ("text", {"requests": "-5/day"}, "is not a request rate"),
        ("text", {"requests": "0/day"}, "is not a request rate"),
        ("text", {"requests": "5/fortnight"}, "units are hour, day"),
        ("text", {"hardware": "big"}, "'big' is not a hardware size or card"),
        ("text", {"hardware": "0x24GB"}, "is not a hardware size or card"),
        ("text", {"hardware": "16cores"}, "is not a hardware size or card"),
        ("text", {"keep": ("tone",)}, "nothing that goes in has tone to keep"),
        ("audio", {"keep": ("tune",)}, "'tune' is not known; did you mean tone"),
        ("text", {"private": ("audio",)}, "no audio goes in"),
        ("text", {"shows": "text"}, "no image goes in"),
        ("image", {"scanned": True}, "no document goes in"),
        ("pdf", {"scanned": True, "figures": True}, "leave --scanned or --figures out"),
        ("pdf", {"makes": "transcript"}, "made of one recording"),
        ("audio", {"makes": "embedding"}, "transcribe it first"),
        ("pdf", {"makes": "speech", "verbatim": True}, "text alone is spoken"),
        ("text", {"power": 300.0}, "add --hardware-price"),
        ("text", {"hardware_price": 1000.0, "power": 300.0}, "add --kwh USD"),
        ("text", {"hardware_price": 0.0}, "0 is no number of dollars"),
        ("text", {"latency": -1.0}, "no number of seconds"),
        ("text", {"out_tokens": 0}, "not a valid answer length"),
        ("text", {"local": True, "hosts": ("acme",)}, "leave --host or --local out"),
        ("text", {"colour": "red"}, "advise has no option colour"),
    ],
)
def test_what_makes_no_sense_is_one_clear_sentence(takes: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as stopped:
        advice(takes, options.pop("makes", "text"), **options)
    assert said in str(stopped.value.wording_for("command line"))


def test_hardware_is_read_as_people_write_it() -> None:
    def machine(words: str) -> tuple[int, int, int]:
        found = make_question("text", "text", LAPTOP, hardware=words).hardware.machine
        return found.memory // 2**20, len(found.gpus), found.cores

    assert machine("24GB") == (24 * 1024, 0, 2)
    assert machine("2x24GB") == (48 * 1024, 2, 2)
    assert machine("24GB 2x 16cores") == (48 * 1024, 2, 16)
    assert machine("512MiB, 8cores") == (512, 0, 8)


def test_hardware_may_be_named_by_its_cards() -> None:
    def machine(said: str) -> Machine:
        return make_question("text", "text", LAPTOP, hardware=said).hardware.machine

    named = machine("RTX4090 16cores")
    assert (named.memory, named.cores, len(named.gpus)) == (24 << 30, 16, 1)
    assert named.gpus[0].bandwidth == 1010e9
    assert [gpu.memory for gpu in machine("2xH100, 8cores").gpus] == [80 << 30] * 2
    with pytest.raises(UsageError, match="nearest are"):
        machine("RTX 4900")
    with pytest.raises(UsageError, match="RTX 3060 8GB"):
        machine("RTX 3060")


def test_a_server_on_a_faster_card_answers_sooner_and_more_users_each_later() -> None:
    def speed(said: str, users: int = 1, active: float = 8e9) -> float:
        hardware = make_question("text", "text", LAPTOP, hardware=said, users=users).hardware
        return server_speed(8e9, active, hardware.machine, hardware.users).decode.mid

    assert speed("RTX 5090") > speed("RTX 4090") > speed("RTX 3060 12GB") > speed("24GB")
    assert speed("RTX 4090", users=20) < speed("RTX 4090") < 20 * speed("RTX 4090", users=20)
    assert speed("RTX 4090", active=1e9) > speed("RTX 4090")  # a mixture of experts


@pytest.mark.slow
def test_nothing_on_a_card_is_timed_as_two_processor_cores() -> None:
    card = make_question("text", "text", LAPTOP, hardware="RTX 4090").hardware
    embedded = [each for each in everything(card, DAY).catalog.endpoints if each.host.zone == "process"]
    plain = {each.id: each for each in everything(parse_hardware("24GB", LAPTOP), DAY).catalog.endpoints}
    assert embedded
    for each in embedded:
        before, after = plain[each.id].speed, each.speed
        if "automatic-speech-recognition" in each.model.tasks:
            assert "published" in after.realtime_factor.basis
            assert after.realtime_factor.mid < before.realtime_factor.mid
        elif "text-generation" in each.model.tasks:
            assert after.decode.mid > before.decode.mid
            assert "bandwidth" in after.decode.basis
        elif before.megapixel.mid:
            assert "no figure for a card is published" in after.megapixel.basis
            assert after.megapixel.low < after.megapixel.mid < before.megapixel.mid


def test_an_empty_catalog_is_no_route_and_no_crash() -> None:
    with pytest.raises(NoRoute):
        decide(make_question("text", "text", LAPTOP), offers(()), DAY)
