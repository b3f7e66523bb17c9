"""``intermodal estimate``: what it says of imagined and real parts, and of words that make no sense."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.cli.conftest import Cli

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file

SHAPE = {
    "kind", "version", "model", "reading", "endpoint", "date", "parts", "tokens", "usd", "price_source",
    "price_conflicts",
    "rejected",
}  # fmt: skip


def asked(cli: Cli, *words: str, input: str = "") -> dict[str, Any]:
    done = cli("estimate", *words, "--json", input=input)
    assert done.code == 0, done.out
    return done.document


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai:gpt-4o-mini-search-preview", False),
        ("openai:gpt-5-search-api", False),
        ("openrouter:perplexity/sonar-pro", False),
        ("perplexity:sonar-pro", True),  # has a price per request
        ("openai:gpt-4o-mini", True),
    ],
)
def test_the_price_of_a_model_that_searches_on_every_call_is_not_known_without_that_of_a_search(
    cli: Cli, model: str, known: bool
) -> None:
    assert (asked(cli, "--model", model, "--out-tokens", "10")["usd"]["mid"] is not None) is known
    said = cli("estimate", "--model", model, "--out-tokens", "10").out
    assert ("no price of the web search that each call makes" in said) is not known


def test_what_a_model_thinks_unasked_comes_on_top_of_the_stated_answer(cli: Cli) -> None:
    thinks = asked(cli, "--model", "o3", "--out-tokens", "500")
    answer, thought = thinks["parts"]
    assert answer["tokens"]["mid"] == 500 and "medium effort" in thought["basis"]
    assert thinks["tokens"]["low"] >= 500 and thinks["tokens"]["mid"] == 500 + thought["tokens"]["mid"] > 1000
    assert thinks["usd"]["low"] < thinks["usd"]["mid"] < thinks["usd"]["high"]
    assert [part["kind"] for part in asked(cli, "--model", "gpt-4o", "--out-tokens", "500")["parts"]] == ["output"]
    assert len(asked(cli, "--model", "o3", "--image", "512x512")["parts"]) == 1  # nothing is said of an answer


@pytest.mark.parametrize(
    ("words", "usd"),
    [
        (["groq:whisper-large-v3-turbo", "--audio", "2s"], 10 * 0.04 / 3600),  # bills 10 s at least
        (["groq:whisper-large-v3-turbo", "--audio", "10s"], 10 * 0.04 / 3600),
        (["groq:whisper-large-v3-turbo", "--audio", "30s"], 30 * 0.04 / 3600),
        (["whisper-1", "--audio", "2s"], 2 * 0.36 / 3600),
        (["mistral:voxtral-small-latest", "--audio", "60s", "--out-tokens", "100"], 60 * 0.24 / 3600 + 100 * 0.4e-6),
        (["gpt-4o-audio-preview", "--audio", "10s"], 100 * 40e-6),
        (["gpt-4o-audio-preview", "--out-audio", "10s"], 200 * 80e-6),
        (["gemini-3.1-flash-image", "--out-image", "512x512"], 747 * 60e-6),
        (["gemini-3.1-flash-image", "--out-image", "1024x1024"], 1_120 * 60e-6),
        (["gemini-3.1-flash-image", "--out-image", "4096x4096"], 2_520 * 60e-6),
    ],
)
def test_sound_costs_its_length_and_what_is_drawn_its_size(cli: Cli, words: list[str], usd: float) -> None:
    assert asked(cli, "--model", *words, "--date", "2026-11-28")["usd"]["mid"] == pytest.approx(usd, rel=1e-4)


def test_what_a_host_bills_at_least_is_said(cli: Cli) -> None:
    said = [cli("estimate", "--model", "groq:whisper-large-v3", "--audio", length).out for length in ("2s", "11s")]
    assert ["are billed as 10 s" in each for each in said] == [True, False]
    assert "an hour, 10 s at least" in cli("models", "show", "groq:whisper-large-v3").out


def test_a_voice_that_is_billed_by_characters_costs_those_of_its_words(cli: Cli, tmp_path: Path) -> None:
    words = tmp_path / "said.txt"
    words.write_text("x" * 1000, "utf-8")
    for more in ([], ["--out-audio", "1m"]):
        found = asked(cli, "--model", "tts-1", "--text", str(words), *more, "--date", "2026-11-28")
        assert found["usd"]["mid"] == pytest.approx(1000 * 15e-6)
    assert asked(cli, "--model", "tts-1", "--out-audio", "1m")["usd"]["mid"] is None  # nobody knows what is said


def test_the_document_has_the_documented_shape(cli: Cli) -> None:
    found = asked(cli, "--model", "gpt-4o", "--image", "1024x1024:high", "--out-tokens", "10", "--date", "2026-11-25")
    assert set(found) == SHAPE
    assert found["model"] == "openai/gpt-4o" and found["date"] == "2026-11-25" and found["rejected"] is None
    for part in found["parts"]:
        assert set(part) == {"kind", "tokens", "basis", "source"}
        assert set(part["tokens"]) == {"low", "mid", "high", "exactness"}
    assert [part["kind"] for part in found["parts"]] == ["image", "output"]
    assert found["tokens"] == {"low": 775, "mid": 775, "high": 775, "exactness": "exact"}
    assert found["usd"] == {"low": 0.0020125, "mid": 0.0020125, "high": 0.0020125, "exactness": "exact"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--image", "10"], "'10' is not a size in pixels"),
        (["--image", "0x10"], "is not a size in pixels"),
        (["--image", "-5x10"], "is not a size in pixels"),
        (["--image", "10x10:huge"], "no detail 'huge'"),
        (["--image", "9999999x1"], "is too long"),
        (["--audio", "10"], "is not a duration"),
        (["--audio", "s"], "is not a duration"),
        (["--audio", "0s"], "is not a duration"),
        (["--audio", "10s5"], "is not a duration"),
        (["--video", "10s@0"], "not a frame rate"),
        (["--video", "10s@1:640"], "no detail '640'"),
        (["--video", "@1"], "is not a duration"),
        (["--pdf", "10"], "is not a number of pages"),
        (["--pdf", "0p"], "is not a number of pages"),
        (["--out-image", "10x10:ultra"], "no quality 'ultra'"),
        (["--date", "soon", "--pdf", "1p"], "'soon' is not a day"),
        (["--date", "2026-02-30", "--pdf", "1p"], "is not a day"),
        (["--date", "20260201", "--pdf", "1p"], "is not a day"),
        ([], "nothing to count"),
        (["--text", "-", "-"], "standard input can be read once"),
        (["--out-tokens", "-3"], "-3"),
    ],
)
def test_words_that_make_no_sense_are_told_what_would(cli: Cli, words: list[str], said: str) -> None:
    done = cli("estimate", "--model", "gpt-4o", *words)
    assert done.code == 2 and said in done.err and done.out == ""
    assert len(done.err.splitlines()) <= 2


def test_an_unknown_model_is_told_the_nearest(cli: Cli) -> None:
    done = cli("estimate", "--model", "gpt-4oo", "--image", "10x10")
    assert done.code == 2 and "openai/gpt-4o" in done.err
    done = cli("estimate", "--model", "qwen2.5-vk", "--image", "10x10")
    assert done.code == 2 and "qwen/qwen2.5-vl" in done.err


def test_a_day_before_any_rule_is_an_error(cli: Cli) -> None:
    done = cli("estimate", "--model", "gpt-4o", "--image", "10x10", "--date", "2019-01-01")
    assert done.code == 2 and "2024-05-13" in done.err
    done = cli("estimate", "--model", "gpt-5.2", "--image", "10x10", "--date", "2026-05-01")
    assert done.code == 2 and "no rule for images of openai/gpt-5.2" in done.err and "2026-09-05" in done.err


def test_what_would_be_refused_is_said_and_costs_nothing_known(cli: Cli) -> None:
    found = asked(cli, "--model", "gpt-6-astra", "--image", "6000x6000")
    assert "35,344 patches" in found["rejected"] and "30,000" in found["rejected"]
    unknown = {"low": None, "mid": None, "high": None, "exactness": "unknown"}
    assert found["tokens"] == found["usd"] == found["parts"][0]["tokens"] == unknown
    assert asked(cli, "--model", "gpt-6-astra", "--image", "6000x6000:high")["rejected"] is None


def test_a_kind_that_is_not_taken_is_refused_with_what_to_do_instead(cli: Cli) -> None:
    found = asked(cli, "--model", "gpt-4o", "--video", "10s")
    assert "does not accept video" in found["rejected"] and "frames" in found["rejected"]
    assert "does not accept audio" in asked(cli, "--model", "claude-haiku-4.5", "--audio", "10s")["rejected"]


def test_a_transcriber_that_is_billed_by_tokens_costs_what_its_vendor_says_a_minute_costs(cli: Cli) -> None:
    """The pricing page has $0.006 and $0.003 a minute, words that come out included: 180 of them, or 240 tokens."""
    minute = ("--audio", "60s", "--out-tokens", "240")
    found = asked(cli, "--model", "openai:openai/gpt-4o-transcribe", *minute)
    assert found["parts"][0]["tokens"]["mid"] == 600 and found["usd"]["mid"] == pytest.approx(0.006)
    assert asked(cli, "--model", "gpt-4o-mini-transcribe", *minute)["usd"]["mid"] == pytest.approx(0.003)


@pytest.mark.slow
def test_more_than_a_model_holds_or_writes_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("lorem ipsum dolor " * 40_000)
    found = asked(cli, "--model", "gpt-4o", "--text", str(path), "--out-tokens", "16384")
    assert "holds 128,000" in found["rejected"] and found["usd"]["exactness"] == "unknown"
    assert "writes 16,384 at most" in asked(cli, "--model", "gpt-4o", "--out-tokens", "16385")["rejected"]
    short = asked(cli, "--model", "gpt-4o", "--out-tokens", "16384")
    assert short["rejected"] is None and short["usd"]["mid"] == pytest.approx(0.16384)
    pieces = asked(cli, "--model", "text-embedding-3-small", "--text", str(path))
    assert pieces["rejected"] is None, "a vector is made of one piece after the other"


def test_what_is_cached_is_text_and_then_pictures_and_no_more_than_there_is(cli: Cli) -> None:
    """gpt-4o: $2.50 a million tokens in, $1.25 from its cache; a square image has 765."""
    found = asked(cli, "--model", "gpt-4o", "--image", "1024x1024", "--cached", "500")
    assert found["usd"]["mid"] == pytest.approx((265 * 2.5 + 500 * 1.25) / 1e6)
    done = cli("estimate", "--model", "gpt-4o", "--image", "1024x1024", "--cached", "766")
    assert done.code == 2 and "--cached" in done.err and "765" in done.err


def test_a_host_s_name_for_batches_is_not_taken_for_the_model_itself(cli: Cli) -> None:
    """OpenRouter sells batches as models of their own, ``:batch`` after the name, for half."""
    image = ("--image", "1000x1000")
    plain = asked(cli, "--model", "openrouter:anthropic/claude-sonnet-4.5", *image)["usd"]["mid"]
    assert plain == pytest.approx(1296 * 3e-6)
    known = asked(cli, "--model", "qwen2.5-vl-7b-instruct", *image)["usd"]
    assert known["mid"], "a host that has the model by this very name and no price is not the only one"
    batch = asked(cli, "--model", "openrouter:anthropic/claude-sonnet-4.5:batch", *image)["usd"]["mid"]
    assert batch == pytest.approx(1296 * 1.5e-6)


def test_a_model_that_nobody_serves_is_counted_all_the_same(cli: Cli) -> None:
    assert asked(cli, "--model", "bert-base-uncased", "--text", "-", input="a short text")["model"].endswith("uncased")
    assert "512" in asked(cli, "--model", "bert", "--text", "-", input="word " * 4000)["rejected"]


def test_a_transcriber_is_priced_where_somebody_says_what_an_hour_costs(cli: Cli) -> None:
    found = asked(cli, "--model", "whisper-large-v3", "--audio", "3600s")
    assert found["usd"]["mid"] == pytest.approx(0.111)


def test_many_large_pictures_together_are_refused_where_the_vendor_refuses_them(cli: Cli) -> None:
    large = ["--image", "2500x100"]
    assert asked(cli, "--model", "claude-opus-5", *large * 20)["rejected"] is None
    assert "more than 20 images" in asked(cli, "--model", "claude-opus-5", *large * 21)["rejected"]
    assert "more than 20" in asked(cli, "--model", "command-a-vision", *["--image", "9x9"] * 21)["rejected"]


def test_a_model_without_rules_gets_a_wide_range_that_says_so(cli: Cli) -> None:
    found = asked(cli, "--model", "mistral-large-3", "--image", "1024x1024")
    (part,) = found["parts"]
    assert part["tokens"]["exactness"] == "estimated" and "no published rule" in part["basis"]
    assert part["tokens"]["low"] <= 100 and part["tokens"]["high"] >= 2500


def test_a_count_without_a_price_is_unknown_never_nothing(cli: Cli) -> None:
    unknown = {"low": None, "mid": None, "high": None, "exactness": "unknown"}
    assert asked(cli, "--model", "smolvlm-256m", "--image", "9x9")["usd"] == unknown  # nobody sells it
    assert asked(cli, "--model", "whisper-1", "--audio", "1s", "--batch")["usd"] == unknown
    assert asked(cli, "--model", "gpt-4o", "--out-audio", "1s")["usd"] == unknown  # it makes none
    assert asked(cli, "--model", "whisper-1", "--audio", "1s", "--out-tokens", "5")["usd"] == unknown
    assert asked(cli, "--model", "embedded:smollm2-135m-instruct", "--out-tokens", "5")["usd"]["mid"] == 0


def test_batch_and_cached_text_have_prices_of_their_own(cli: Cli) -> None:
    usd = asked(cli, "--model", "claude-haiku-4.5", "--image", "1000x1000", "--batch")["usd"]
    assert usd["mid"] == 0.000648 and usd["exactness"] == "exact"
    words = ["--model", "gpt-4o", "--text", "-"]
    plain = asked(cli, *words, input="hello world " * 100)["usd"]["mid"]
    cached = asked(cli, *words, "--cached", "100", input="hello world " * 100)["usd"]["mid"]
    assert 0 < cached < plain


def test_text_is_counted_by_its_vocabulary_or_a_range(cli: Cli, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("hello world, says the caller. 今日は 🎉\n")
    (part,) = asked(cli, "--model", "gpt-4o", "--text", str(words))["parts"]
    assert part["tokens"] == {"low": 12, "mid": 12, "high": 12, "exactness": "exact"}
    assert part["basis"] == "counted with o200k_base" and "tiktoken" in part["source"]
    (part,) = asked(cli, "--model", "claude-haiku-4.5", "--text", "-", input="hello " * 100)["parts"]
    assert part["tokens"]["exactness"] == "estimated" and part["tokens"]["low"] < 100 < part["tokens"]["high"]
    assert part["basis"] == "by script, claude3's factors"


@pytest.mark.slow
def test_base64_is_a_picture_and_never_text(cli: Cli, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((800, 600), 90).save(buffer, "PNG")
    (tmp_path / "noise.png").write_bytes(buffer.getvalue())
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    for file in (str(tmp_path / "noise.png"), url):
        (part,) = asked(cli, "--model", "gpt-4o", file)["parts"]
        assert part["kind"] == "image" and part["tokens"]["mid"] == 765 and part["tokens"]["exactness"] == "exact"


def test_a_file_that_cannot_be_taken_says_why(cli: Cli, tmp_path: Path) -> None:
    assert cli("estimate", "--model", "gpt-4o", str(tmp_path / "none.png")).code == 3
    assert cli("estimate", "--model", "gpt-4o", "--text", str(tmp_path)).code == 3


def test_people_read_a_table_with_basis_source_and_price(cli: Cli) -> None:
    done = cli("estimate", "--model", "gpt-4o", "--image", "1024x1024:high", "--chat")
    assert done.code == 0
    for word in ("openai/gpt-4o", "765", "tile rule", "in force from 2024-05-13", "chat template", "model-prices", "$"):
        assert word in done.out
    done = cli("estimate", "--model", "gpt-4o", "--video", "1s")
    assert "rejected: openai/gpt-4o does not accept video" in done.out


def test_little_is_imported_for_an_imagined_picture() -> None:
    code = (
        "import sys, intermodal.cli.main as m\n"
        "try: m.main(['estimate', '--model', 'gpt-4o', '--image', '10x10', '--json'])\n"
        "except SystemExit: pass\n"
        "sys.stderr.write(repr(sorted(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(ran.stderr.replace("'", '"')))
    heavy = {
        "httpx",
        "PIL",
        "av",
        "pydantic",
        "anyio",
        "tiktoken",
        "regex",
        "sqlite3",
        "intermodal.planner.route_search.search",
    }
    assert not loaded & heavy


def test_a_row_that_names_a_rule_nobody_knows_is_an_error_with_its_place(cli: Cli) -> None:
    row = ServedRow(id="acme/eye-7b", served_as="eye", input=("text", "image"), image_tokens="openai_tyle:85:170")
    config_file.add_host(os.environ, HostRow(id="box", base_url="http://127.0.0.1:9/v1", models=(row,)))
    for words in (("estimate", "--model", "box:acme/eye-7b", "--image", "10x10"), ("explain", "hello")):
        done = cli(*words)
        assert done.code == 2 and "[hosts.box]" in done.err and "openai_tyle" in done.err and "openai_tile" in done.err


def test_a_model_that_could_be_pulled_is_priced_where_it_is_sold(cli: Cli) -> None:
    """What a call costs is asked of a host; that the weights could run here for nothing answers another question."""
    for name in ("gpt-oss-20b", "gemma-3-4b-it", "qwen2.5-vl-7b-instruct"):
        assert asked(cli, "--model", name, "--image", "1000x1000", "--out-tokens", "10")["usd"]["mid"] != 0.0
    found = asked(cli, "--model", "embedded:google/gemma-3-4b-it", "--image", "1000x1000")
    assert found["usd"]["mid"] == 0.0, "named, it is what it is"


def test_a_question_in_place_of_a_file_is_told_how_words_are_counted(cli: Cli) -> None:
    """``ask`` and ``explain`` take the question first."""
    done = cli("estimate", "Summarise this", "--model", "gpt-4o")
    assert done.code == 3 and "Summarise this: there is no such file" in done.err
    assert "intermodal estimate --text -" in done.err
