"""French speech as English text by two routes: a speech recognizer that translates, and one with a language model.

    python benchmarks/speech_translation.py [--writer HOST:MODEL] [RECORDING.wav REFERENCE.txt …]

``--writer`` names the model that translates the transcript; ``intermodal up FILE.gguf --name NAME`` starts one, and
``up.NAME:local/NAME`` is its name then. Without recordings, the repository's own is taken. Words kept: the share of the
words of a reference translation that the result has, each as often as it occurs. It is a rough measure: another good
translation scores less than 100 %.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import report

from intermodal.client.async_client import AsyncClient
from intermodal.core.request import TranscriptOutput
from intermodal.errors import IntermodalError
from intermodal.events import Result
from intermodal.plans.plan import Plan

OWN = Path(__file__).parent.parent / "examples" / "media" / "french.flac"
OWN_TEXT = "Hello sir, how are you? My name is Marie and I live in France. Thank you very much, goodbye."
EAR = "embedded:openai/whisper-base"
GIB = 1 << 30


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[\w']+", text.lower()))


def kept(text: str, reference: str) -> float:
    wanted = words(reference)
    return sum((words(text) & wanted).values()) / max(1, sum(wanted.values()))


async def measured(client: AsyncClient, recording: Path, reference: str, model: str, how: str) -> list[str]:
    asked: dict[str, Any] = {"output": TranscriptOutput(), "translate": "en", "model": model}
    try:
        plan: Plan = await client.plan("", recording, **asked)
        result: Result = (await client.ask("", recording, **asked)).result
    except IntermodalError as error:
        return [recording.name, how, "–", "–", "–", "–", error.wording_for("command line").what]
    total, steps = plan.chosen.total, result.actuals
    loading = sum(step.load_seconds for step in steps)
    peak = max((step.peak_memory or 0 for step in steps), default=0)
    assert total.seconds.known and result.transcript is not None
    planned = f"{total.seconds.mid:.1f} ({total.seconds.low:.1f}..{total.seconds.high:.1f})"
    real = f"{sum(step.seconds for step in steps):.1f}, {loading:.1f} of it loading"
    said = result.transcript.text
    return [
        recording.name, how, f"{kept(said, reference):.0%}", planned, real, f"{peak / GIB:.2f} GiB" if peak else "–",
        said if len(said) <= 240 else f"{said[:240]} …",
    ]  # fmt: skip


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writer", action="append", default=[])
    parser.add_argument("files", nargs="*", type=Path)
    given = parser.parse_args()
    pairs = [(OWN, OWN_TEXT)]
    pairs += [(sound, text.read_text()) for sound, text in zip(given.files[::2], given.files[1::2], strict=True)]
    routes = [(EAR, f"{EAR.rpartition('/')[2]} translates by itself")]
    routes += [(writer, f"whisper-base, then {writer}") for writer in given.writer]
    rows = []
    async with AsyncClient(env=dict(os.environ)) as client:
        for recording, reference in pairs:
            for model, how in routes:
                rows.append(await measured(client, recording, reference, model, how))
    head = ("recording", "route", "words kept", "seconds planned", "seconds", "peak memory", "text")
    report.write("speech_translation", "French speech as English text, by two routes", report.table(head, rows))


if __name__ == "__main__":
    asyncio.run(main())
