"""Calibration of token counts: how an endpoint's server counted earlier requests, compared with the local rules.

Text that a local vocabulary counts exactly needs no factor: additional tokens are framing, learned as a number. Counts
by a rule or a range (text without its vocabulary, images, audio) are corrected by a learned factor. The figures come
from ``store/learned_figures.py``.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.core.quantity import Quantity
from intermodal.cost_model.levels import Levels, add_levels, times
from intermodal.cost_model.levels import levels as levels_of
from intermodal.plans.statistics import Statistics

CALIBRATION_FACTORS = ("text_factor", "image_factor", "audio_factor")
FRAMING_FIGURES = ("framing_start", "framing_message")
_WORDS = {"text_factor": "text", "image_factor": "images", "audio_factor": "sound"}


class TokenCalibration(Struct, frozen=True, gc=False):
    """The corrections learned for one endpoint, None for those without data.

    Attributes:
        text, image, audio: factors on the local count. start, message: framing tokens, once and per message.
    """

    text: Quantity | None = None
    image: Quantity | None = None
    audio: Quantity | None = None
    start: Quantity | None = None
    message: Quantity | None = None

    def framing(self, messages: int) -> Levels | None:
        """Return the chat template tokens for ``messages`` messages, None if unknown."""
        if self.start is None or self.message is None:
            return None
        return add_levels(levels_of(self.start), times(levels_of(self.message), messages))

    def middle(self, kind: str) -> float:
        """Return the factor for text, image or audio, 1 if none was learned."""
        found: Quantity | None = getattr(self, kind)
        return 1.0 if found is None else found.mid


def endpoint_calibration(endpoint: str, statistics: Statistics) -> TokenCalibration | None:
    """Return the calibration of an endpoint, None if nothing was learned."""
    if not statistics.rows:
        return None
    found = [statistics.get(endpoint, figure) for figure in (*CALIBRATION_FACTORS, *FRAMING_FIGURES)]
    return TokenCalibration(*found) if any(each is not None for each in found) else None


def calibrate_count(tokens: Levels, factor: Quantity | None) -> Levels:
    """Return a local count as the server counts it.

    The two ranges are independent, so their widths are combined as the root of the sum of squared logarithms.
    """
    low, mid, high = tokens
    if factor is None or not 0 < mid < math.inf or factor.mid <= 0:
        return tokens
    middle = mid * factor.mid
    up = math.hypot(math.log(high / mid), math.log(factor.high / factor.mid)) if high < math.inf else math.inf
    down = math.hypot(math.log(mid / low), math.log(factor.mid / factor.low)) if low > 0 and factor.low > 0 else 0.0
    least = middle * math.exp(-down) if low > 0 and factor.low > 0 else 0.0
    return (least, middle, middle * math.exp(up) if up < math.inf else math.inf)


def correction_text(figure: str, quantity: Quantity) -> str:
    """Return a correction in words, "" if it is part of another.

    >>> from intermodal.core.quantity import between
    >>> correction_text("image_factor", between(1.1, 1.18, 1.3, "12 runs here"))
    'images x1.18, 12 runs here'
    """
    if figure in _WORDS:
        return f"{_WORDS[figure]} x{quantity.mid:.2f}, {quantity.basis}"
    return f"framing {quantity.mid:.0f} tok, {quantity.basis}" if figure == "framing_start" else ""


def calibration_text(endpoint: str, statistics: Statistics) -> str:
    """Return everything learned about an endpoint's counting in words; "" if nothing was."""
    figures = [(figure, statistics.get(endpoint, figure)) for figure in (*CALIBRATION_FACTORS, "framing_start")]
    return "; ".join(correction_text(figure, quantity) for figure, quantity in figures if quantity is not None)
