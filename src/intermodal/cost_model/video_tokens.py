"""Tokens of a video that a model takes whole, by the named rule of its family.

``gemini_seconds:258:64:5:32`` and ``gemini_frames:70:280:25:32``: tokens per frame and of the sound per second.
``qwen:28``: frames in pairs, resized. Where a rule needs the frame size and it is unknown, the range over sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from intermodal.content import Value
from intermodal.cost_model.image_rules.qwen import qwen_resized
from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.cost_model.tokens import VIDEO
from intermodal.quantity import Quantity, between, exact

UNKNOWN_RULE = "no published rule for this model's video"

# qwen-vl-utils 0.0.14: frames a second, how few and how many, tokens of a pair of frames, tokens of a whole video.
FPS, FEWEST, MOST = 2.0, 4, 768
PAIR_LEAST, PAIR_MOST = 128, 768
WHOLE = 128_000 * 0.9


class VideoSize(Value):
    """A video as far as counting needs it. ``fps``: sampled frames per second, 0 for the model's own rate. ``width``,
    ``height``: 0 where unknown. ``sound``: None where unknown.
    """

    seconds: float
    fps: float = 0.0
    width: int = 0
    height: int = 0
    detail: str = "auto"
    sound: bool | None = None


def video_tokens(rule: str, film: VideoSize) -> Quantity:
    """Return the tokens of one video; without a known rule the range over the published families.

    >>> int(video_tokens("gemini_seconds:258:64:5:32", VideoSize(seconds=10.0)).mid)
    2630
    """
    read = parse_rule(rule)
    if read is None or not is_video_rule(rule):
        low, mid, high = (math.ceil(film.seconds * rate) for rate in VIDEO)
        return between(float(low), float(mid), float(high), UNKNOWN_RULE)
    return RULES[read[0]][0](film, read[1].numbers)


def is_video_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in RULES or read[1].words:
        return False
    return len(read[1].numbers) == RULES[read[0]][1] and all(number > 0 for number in read[1].numbers)


def _gemini_seconds(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Gemini 2.x: a frame a second, 258 tokens (64 at low resolution), and 5 a second besides: 263, Google's figure.

    Google also writes "and sound": at most 32 a second more than the frames. At one frame a second its figure is
    taken as it stands; other rates are a range. Source: Google, "Understand and count tokens", 2026-11.
    """
    frame, low_frame, beside, sound = numbers
    one = low_frame if film.detail == "low" else frame
    rate = film.fps or 1.0
    basis = f"{one:g} tokens a frame at {rate:g} a second"
    if rate == 1.0 and film.detail != "low":
        return exact(_whole(film.seconds * (one + beside)), f"{one + beside:g} tokens a second at one frame a second")
    low, mid, high = (_whole(film.seconds * (one * rate + more)) for more in (0.0, beside, sound))
    return between(low, mid, high, basis)


def _gemini_frames(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Gemini 3.x: at most so many tokens a frame (more at high resolution), one a second, and the sound.

    Source: Google, "Media resolution", 2026-11: maxima. Sources differ on sound: 25 or 32 a second.
    """
    frame, high_frame, less, more = numbers
    one = high_frame if film.detail in ("high", "ultra") else frame
    frames = _whole(film.seconds * (film.fps or 1.0)) * one
    quiet = film.sound is False
    low = 0.0 if film.sound is not True else _whole(film.seconds * less)
    mid, high = (0.0, 0.0) if quiet else (_whole(film.seconds * less), _whole(film.seconds * more))
    basis = f"at most {one:g} tokens a frame, {less:g} or {more:g} a second of sound"
    return between(frames * 0.5 + low, frames + mid, frames + high, basis)


def _qwen(film: VideoSize, numbers: tuple[float, ...]) -> Quantity:
    """Qwen-VL: an even number of frames, two make one picture, resized to 128 to 768 tokens.

    Source: qwen-vl-utils 0.0.14, ``smart_nframes`` and ``fetch_video``. Times written between the frames (Qwen3-VL)
    are not counted.
    """
    factor = numbers[0]
    frames = math.floor(min(max(film.seconds * (film.fps or FPS), FEWEST), MOST) / 2) * 2
    pairs = frames // 2
    unit = factor * factor
    least = PAIR_LEAST * unit
    most = max(min(PAIR_MOST * unit, WHOLE * unit / frames * 2), int(least * 1.05))
    basis = f"{frames} frames in pairs"
    if not film.width or not film.height:
        return between(float(pairs * PAIR_LEAST), pairs * most / unit * 0.6 // 1, float(pairs * most // unit), basis)
    wide, high = qwen_resized(film.width, film.height, factor, least, most)
    return exact(float(pairs * int(wide // factor) * int(high // factor)), f"{basis} of {wide:g}x{high:g}")


def _whole(tokens: float) -> float:
    return float(math.ceil(tokens - 1e-9))


RULES: dict[str, tuple[Callable[[VideoSize, tuple[float, ...]], Quantity], int]] = {
    "gemini_seconds": (_gemini_seconds, 4),
    "gemini_frames": (_gemini_frames, 4),
    "qwen": (_qwen, 1),
}
