"""Speech of the fake host: one beep a word, so that a test can count them; and its log-probabilities."""

from __future__ import annotations

import io
import math
import re
import struct
import wave
from collections.abc import Mapping
from typing import Any

RATE = 24_000  # Hz
BEEP, REST = 0.08, 0.02  # seconds
_LEAST = -30.0  # the logarithm of nothing


def beeps(text: str) -> bytes:
    """Signed 16-bit samples at ``RATE``: a tenth of a second for every word."""
    beep = b"".join(
        struct.pack("<h", round(9000 * math.sin(2 * math.pi * 440 * place / RATE))) for place in range(int(RATE * BEEP))
    )
    return (beep + b"\0\0" * int(RATE * REST)) * len(re.findall(r"\S+", text))


def wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm)
    return file.getvalue()


def streamed(file: bytes) -> bytes:
    """The same WAV file as a host sends it that does not know its length yet: sizes of all ones."""
    return file[:4] + b"\xff\xff\xff\xff" + file[8:40] + b"\xff\xff\xff\xff" + file[44:]


def mp3(text: str) -> bytes:
    """The start of an MP3 frame and silence: enough to be told from other formats, not to be heard."""
    return b"\xff\xfb\x90\xc4" + bytes(413) * max(1, len(text.split()))


def logprobs(likely: Mapping[str, float], said: str, most: int) -> dict[str, Any]:
    """OpenAI's block of probabilities for one word: the likeliest first, at most ``most``."""
    rows = sorted(likely.items(), key=lambda pair: -pair[1])[:most]
    told = [
        {"token": word, "bytes": list(word.encode()), "logprob": math.log(share) if share > 0 else _LEAST}
        for word, share in rows
    ]
    own = math.log(likely[said]) if likely.get(said, 0) > 0 else _LEAST
    return {"content": [{"token": said, "bytes": list(said.encode()), "logprob": own, "top_logprobs": told}]}
