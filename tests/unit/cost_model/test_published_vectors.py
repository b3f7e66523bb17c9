"""Published counts and prices, each by its number in the project's list of vectors, through the command line.

Sources: OpenAI "Images and vision" and realtime cost guides, Anthropic "Vision" documentation, Google "Understand and
count tokens", qwen-vl-utils ``vision_process.py``, mistral-common; prices by genai-prices. As of 2026-11.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from intermodal.catalog.types import Price
from intermodal.cli.main import main
from intermodal.core.quantity import exact
from intermodal.cost_model.token_counts import CountablePart, CountedPart
from intermodal.cost_model.usage_price import UsagePrice, price_of_parts, usage_price

# id, model, what is asked, tokens; exact
EXACT: list[tuple[str, str, str, int]] = [
    ("1-square", "gpt-4o", "--image 1024x1024:high", 765),
    ("1-tall", "gpt-4o", "--image 2048x4096:high", 1105),
    ("1-low", "gpt-4o", "--image 2048x4096:low", 85),
    ("2-one-tile", "gpt-4o", "--image 512x512", 255),
    ("2-tile-edge", "gpt-4o", "--image 513x513", 765),
    ("2-screen", "gpt-4o", "--image 1920x1080", 1105),
    ("2-no-upscaling", "gpt-4o", "--image 200x200", 255),
    ("3-mini", "gpt-4o-mini", "--image 1024x1024", 25_501),
    ("3-mini-low", "gpt-4o-mini", "--image 1024x1024:low", 2_833),
    ("3-gpt-5", "gpt-5", "--image 1024x1024", 630),
    ("3-gpt-5-low", "gpt-5", "--image 1024x1024:low", 70),
    ("3-gpt-5.1", "gpt-5.1", "--image 1024x1024", 630),
    ("3-o1", "o1", "--image 1024x1024", 675),
    ("3-o1-low", "o1", "--image 1024x1024:low", 75),
    ("3-o3", "o3", "--image 1024x1024", 675),
    ("5-astra", "gpt-6-astra", "--image 1024x1024:high", 1_229),
    ("5-astra-large", "gpt-6-astra", "--image 2048x2048:high", 3_000),
    ("5-astra-long", "gpt-6-astra", "--image 4096x512:high", 2_458),
    ("5-sol", "gpt-5.6-sol", "--image 1024x1024:high", 1_229),
    ("5-terra-large", "gpt-5.6-terra", "--image 2048x2048:high", 3_000),
    ("6-o4-mini", "o4-mini", "--image 1800x2400", 2_498),
    ("6-today", "gpt-4.1-mini", "--image 1800x2400", 4_977),
    ("6-spring", "gpt-4.1-mini", "--image 1800x2400 --date 2026-05-01", 2_353),  # ceil(1,452 * 1.62)
    ("6-mini-today", "gpt-5-mini", "--image 1024x1024", 1_229),  # the multiplier was 1.62, and 2.46 of nano
    ("6-mini-spring", "gpt-5-mini", "--image 1024x1024 --date 2026-05-01", 1_659),
    ("6-nano-today", "gpt-5-nano", "--image 1024x1024", 1_536),
    ("6-nano-spring", "gpt-5-nano", "--image 1024x1024 --date 2026-05-01", 2_520),
    ("6-5.4-mini-summer", "gpt-5.4-mini", "--image 1024x1024 --date 2026-08-01", 1_659),
    ("6-panorama", "o4-mini", "--image 4096x512", 881),  # 2048 x 256: 512 patches
    ("9-200", "claude-haiku-4.5", "--image 200x200", 64),
    ("9-1000", "claude-haiku-4.5", "--image 1000x1000", 1_296),
    ("9-1092", "claude-haiku-4.5", "--image 1092x1092", 1_521),
    ("9-screen", "claude-haiku-4.5", "--image 1920x1080", 1_560),
    ("9-photo", "claude-haiku-4.5", "--image 2000x1500", 1_564),
    ("9-4k", "claude-haiku-4.5", "--image 3840x2160", 1_560),
    ("9-page", "claude-haiku-4.5", "--image 1075x1520", 1_551),
    ("9-high-screen", "claude-opus-5", "--image 1920x1080", 2_691),
    ("9-high-photo", "claude-opus-5", "--image 2000x1500", 3_888),
    ("9-high-4k", "claude-opus-4.7", "--image 3840x2160", 4_784),
    ("12-small", "gemini-2.5-flash", "--image 384x384", 258),
    ("12-six-tiles", "gemini-2.5-flash", "--image 960x540", 1_548),
    ("12-sound", "gemini-2.5-flash", "--audio 10s", 320),
    ("12-video", "gemini-2.5-flash", "--video 10s", 2_630),
    ("12-pdf", "gemini-2.5-flash", "--pdf 10p", 2_580),
    ("14-heard", "gpt-realtime", "--audio 60s", 600),
    ("14-spoken", "gpt-realtime", "--out-audio 60s", 1_200),
    ("15-drawn", "gpt-image-1", "--out-image 1024x1024:high", 4_160),
    ("15-drawn-1.5", "gpt-image-1.5", "--out-image 1024x1024:high", 4_160),
    ("15-drawn-gemini", "gemini-3-pro-image", "--out-image 2048x2048", 1_120),
    ("15-drawn-gemini-4k", "gemini-3-pro-image", "--out-image 4096x4096", 2_000),
    ("16-llama-wide", "meta/llama-3.2-11b-vision-instruct", "--image 600x500", 3_202),
    ("17-llava", "llava-1.5-7b", "--image 1000x700", 576),
    ("17-gemma-3", "gemma-3-27b-it", "--image 1000x700", 256),
    ("17-smolvlm", "smolvlm-256m-instruct", "--image 256x256", 1_088),
    ("17-smolvlm-whole", "smolvlm-256m-instruct", "--image 256x256:low", 64),
    ("18-qwen", "qwen2.5-vl-7b-instruct", "--image 1024x1024", 1_369),
    ("18-qwen-small", "qwen2.5-vl-7b-instruct", "--image 224x224", 64),
    ("18-qwen-3", "qwen3-vl-8b-instruct", "--image 1024x1024", 1_024),
    ("18-qwen-3-screen", "qwen3-vl-8b-instruct", "--image 1920x1080", 2_040),
    ("19-pixtral", "pixtral-12b", "--image 1024x1024", 4_160),
    ("19-pixtral-wide", "pixtral-12b", "--image 2048x1024", 2_080),
    ("19-small", "mistral-small-3.1", "--image 1540x1540", 3_080),
]


def estimate(capsys: pytest.CaptureFixture[str], model: str, words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stopped:
        main(["estimate", "--model", model, *words.split(), "--json"])
    said = capsys.readouterr()
    assert stopped.value.code == 0, said.out
    found: dict[str, Any] = json.loads(said.out)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("model", "words", "tokens"), [row[1:] for row in EXACT], ids=[row[0] for row in EXACT])
def test_published_tokens(capsys: pytest.CaptureFixture[str], model: str, words: str, tokens: int) -> None:
    found = estimate(capsys, model, words)
    (part,) = found["parts"]
    assert part["tokens"] == {"low": tokens, "mid": tokens, "high": tokens, "exactness": "exact"}
    assert found["tokens"] == part["tokens"]
    assert part["basis"] and part["source"] and found["rejected"] is None


def test_17_gemma_4_stays_in_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < estimate(capsys, "gemma-4-31b-it", "--image 1024x1024")["tokens"]["high"] <= 280


def test_18_the_pixel_budget_decides_the_count() -> None:
    from intermodal.cost_model.image_tokens import image_tokens

    assert image_tokens("qwen:28:1003520", 1024, 1024).mid == 1_225


@pytest.mark.parametrize(
    ("model", "words", "usd"),
    [
        pytest.param("claude-haiku-4.5", "--image 1000x1000", 0.001296, id="11-haiku"),
        pytest.param("claude-opus-5", "--image 3840x2160", 0.02392, id="11-opus"),
        pytest.param("gpt-realtime", "--audio 60s", 0.0192, id="14-heard"),
        pytest.param("gpt-realtime", "--out-audio 60s", 0.0768, id="14-spoken"),
        pytest.param("mistral-ocr-latest", "--pdf 1000p", 4.0, id="15-ocr"),
        pytest.param("gpt-image-1", "--out-image 1024x1024:high", 0.1664, id="15-drawn"),
        pytest.param("whisper-1", "--audio 3600s", 0.36, id="15-whisper"),
        pytest.param("groq:openai/whisper-large-v3", "--audio 3600s", 0.111, id="15-groq-whisper"),
    ],
)
def test_published_prices_of_shipped_rows(
    capsys: pytest.CaptureFixture[str], model: str, words: str, usd: float
) -> None:
    found = estimate(capsys, model, words)["usd"]
    assert found["exactness"] == "exact" and found["mid"] == pytest.approx(usd, abs=1e-6)


def counted(kind: Any, tokens: int, **more: Any) -> CountedPart:
    return CountedPart(piece=CountablePart(kind=kind, **more), tokens=exact(float(tokens)))


def drawn_at(usd_mtok: float) -> UsagePrice:
    return UsagePrice(lambda used: used["output_image_tokens"] * usd_mtok / 1e6, ("output_image_mtok",))


@pytest.mark.parametrize(
    ("parts", "rates", "usd"),
    [
        pytest.param((counted("image", 1296),), usage_price(Price(input_mtok=1.0)), 0.001296, id="11-haiku"),
        pytest.param((counted("image", 4784),), usage_price(Price(input_mtok=5.0)), 0.02392, id="11-opus"),
        pytest.param((counted("audio", 600),), usage_price(Price(input_audio_mtok=32.0)), 0.0192, id="14-heard"),
        pytest.param((counted("speech", 1200),), usage_price(Price(output_audio_mtok=64.0)), 0.0768, id="14-spoken"),
        pytest.param((counted("text", 1_000_000),), usage_price(Price(input_mtok=0.02)), 0.02, id="15-embedding"),
        pytest.param((counted("document", 0, pages=1000),), usage_price(Price(page=0.004)), 4.0, id="15-ocr"),
        pytest.param((counted("drawn", 4160),), drawn_at(40.0), 0.1664, id="15-drawn"),
        pytest.param(
            (counted("text", 100), counted("audio", 320)),
            usage_price(Price(input_mtok=0.3, input_audio_mtok=1.0)),
            0.00035,
            id="15-gemini",
        ),
    ],
)
def test_published_prices(parts: tuple[CountedPart, ...], rates: UsagePrice, usd: float) -> None:
    found = price_of_parts(parts, rates)
    assert found.certainty == "exact" and found.mid == usd
