"""``intermodal advise`` over the shipped snapshot: no host is asked, none needs consent, files go where they may."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli

import intermodal
from intermodal.errors import UsageError

pytestmark = pytest.mark.slow


def test_advise_prints_the_decision_and_the_sources_of_its_numbers(cli: Cli) -> None:
    done = cli("advise", "--in", "pdf,image", "--out", "text", "--requests", "10000/day", "--hardware", "24GB")
    assert done.code == 0, done.err
    assert done.out.startswith("decision: ") and "<- decision" in done.out
    for said in ("an LLM after conversion (a cascade)", "a vision-language model", "304,375 a month", "break-even"):
        assert said in done.out
    assert "models.dev of 20" in done.out and "no service was contacted" in done.out
    assert "sizes assumed: pdf 10p, image 1240x1754" in done.out


def test_nobody_is_contacted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("something connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert cli("advise", "--in", "text", "--hardware", "24GB").code == 0


def test_sizes_are_in_the_words_of_estimate(cli: Cli) -> None:
    found = cli(
        "advise", "--in", "text,image,audio,video,pdf", "--text", "900 words", "--image", "800x600:low", "--image",
        "100x100", "--audio", "1m30s", "--video", "5s@2", "--pdf", "3p", "--hardware", "64GB", "--json",
    ).document  # fmt: skip
    assert found["kind"] == "intermodal.advise" and found["version"] == 1
    assert found["asked"].startswith(
        "text of 900 words, image 800x600:low, image 100x100, audio 1m30s, video 5s@2, pdf 3p"
    )
    assert not any("sizes nobody stated" in each for each in found["assumed"])
    assert {kind["use"] for kind in found["kinds"]} == {"cascade", "vision", "hearing", "omni"}


def test_one_host_can_be_looked_at_alone(cli: Cli) -> None:
    found = cli("advise", "--in", "image", "--host", "openai", "--hardware", "1GB", "--json").document
    hosted = [offer for kind in found["kinds"] for offer in kind["offers"] if offer["place"] == "hosted"]
    assert hosted and all(offer["endpoint"].startswith("openai:") for offer in hosted if not offer["refused"])
    wrong = cli("advise", "--in", "image", "--host", "opanai", "--json")
    assert wrong.code == 2 and "openai" in wrong.document["todo"]


def test_a_picture_is_planned_and_priced_as_a_request_for_one_would_be(cli: Cli) -> None:
    """gemini-2.5-flash-image: 1,290 tokens at $30 a million, and what is said to it; 100 letters are 25 tokens."""
    prompt = "a red bicycle"
    found = cli("advise", "--in", "text", "--text", "100chars", "--out", "image", "--host", "google", "--prompt",
                prompt, "--requests", "100/day", "--json").document  # fmt: skip
    assert found["use"] == "drawing" and found["place"] == "hosted"
    offer = found["kinds"][0]["offers"][0]
    assert offer["endpoint"] == "google:google/gemini-2.5-flash-image" and offer["tokens_out"]["mid"] == 1290
    assert 1290 * 30e-6 < offer["usd"]["mid"] < 1290 * 30e-6 + 100 * 0.3e-6 and offer["seconds"]["mid"] > 1
    assert any("1024x1024" in each and "medium" in each for each in found["assumed"])
    assert cli("advise", "--in", "audio", "--out", "image", "--json").document["kinds"][0]["offers"][0]["steps"][0][
        "op"] == "transcribe"  # fmt: skip
    for limit in (["--local"], ["--private", "text"], ["--latency", "5"], ["--max-cost", "0.000001"]):
        assert cli("advise", "--in", "text", "--out", "image", *limit).code == 4, limit


def test_free_tiers_are_no_offer(cli: Cli) -> None:
    found = cli("advise", "--in", "text", "--objective", "cheapest", "--hardware", "1GB", "--json").document
    for kind in found["kinds"]:
        for offer in kind["offers"]:
            assert not offer["endpoint"].endswith(":free")
            assert (
                offer["place"] == "here" or offer["refused"] or offer["usd"]["mid"] is None or offer["usd"]["mid"] > 0
            )


def test_too_little_hardware_and_no_host_is_no_route_with_its_reasons(cli: Cli) -> None:
    done = cli("advise", "--in", "audio,image", "--local", "--hardware", "300MB", "--json")
    assert done.code == 4 and any("GiB of memory" in each for each in done.document["reasons"])


def test_the_picture_and_the_page_are_written_and_nothing_else_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    picture, page = tmp_path / "advice.svg", tmp_path / "advice.html"
    done = cli("advise", "--in", "pdf", "--hardware", "24GB", "--svg", str(picture), "--html", str(page))
    assert done.code == 0 and f"wrote {picture}" in done.err and f"wrote {page}" in done.err
    assert picture.read_text().startswith("<svg") and page.read_text().startswith("<!DOCTYPE html>")
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    refused = cli("advise", "--in", "pdf", "--svg", str(notes))
    assert refused.code == 2 and notes.read_text() == "mine"
    assert cli("advise", "--in", "pdf", "--hardware", "24GB", "--svg", "-").out.startswith("<svg")
    assert "standard output takes one thing" in cli("advise", "--in", "pdf", "--svg", "-", "--json").document["what"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "missing option '--in'"),
        (["--in", "pfd"], "'pfd' is not a kind of content; did you mean pdf?"),
        (["--in", "pdf", "--pdf", "0p"], "is not a number of pages"),
        (["--in", "image", "--image", "big"], "is not a size in pixels"),
        (["--in", "text", "--text", "long"], "'long' is not a text length"),
        (["--in", "pdf", "--audio", "60s"], "a size is given, and no audio goes in"),
        (["--in", "pdf", "--requests", "-5/day"], "'-5/day' is not a request rate"),
        (["--in", "pdf", "--max-cost", "-1"], "is not a number of dollars"),
        (["--in", "pdf", "--kwh", "0.3"], "means nothing without what the machine costs"),
        (["--in", "pdf", "--local", "--host", "openai"], "leave --host or --local out"),
    ],
)
def test_words_that_make_no_sense_are_one_sentence(cli: Cli, words: list[str], said: str) -> None:
    done = cli("advise", *words)
    assert done.code == 2 and said in done.err and "Traceback" not in done.err


def test_python_gives_the_same_advice() -> None:
    made = intermodal.advise(["pdf", "image"], "text", requests="10000/day", hardware="24GB 2cores")
    sized = intermodal.advise("pdf", sizes={"pdf": 3}, hardware="24GB 2cores")
    with pytest.raises(UsageError, match="no size of image"):
        intermodal.advise("image", sizes={"image": 3})
    assert sized.stated.startswith("pdf 3p -> text")
    assert made.decided_use.title in str(made) and made.offer.endpoint == made.endpoint
    assert made.volume is not None and made.volume.per_month == pytest.approx(304_375.0)


def test_two_pictures_of_one_size_are_both_named(cli: Cli) -> None:
    done = cli("advise", "--in", "image", "--image", "800x600", "--image", "800x600", "--prompt", "Which is brighter?",
               "--keep", "comparison", "--hardware", "24GB", "--json").document  # fmt: skip
    assert [part["title"] for part in done["verdict"]["parts"]] == ["image 1 and image 2"]
