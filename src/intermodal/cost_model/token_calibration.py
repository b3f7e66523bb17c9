"""Calibration of token counts: how one endpoint's server counted earlier requests, compared with our rules.

Text that our vocabularies count exactly needs no factor: what the server counts beyond it is framing, learned in
tokens. Counts by a rule or a range (text without its vocabulary, pictures, sound) are corrected by a learned factor.
The figures come from ``store/token_calibration.py``.
"""

from __future__ import annotations

import math

from msgspec import Struct

from intermodal.cost_model.levels import Levels, plus, times
from intermodal.cost_model.levels import levels as levels_of
from intermodal.plans.statistics import Statistics
from intermodal.quantity import Quantity

CALIBRATION_FACTORS = ("text_factor", "image_factor", "audio_factor")
FRAMING_FIGURES = ("framing_start", "framing_message")
_WORDS = {"text_factor": "text", "image_factor": "pictures", "audio_factor": "sound"}


class TokenCalibration(Struct, frozen=True, gc=False):
    """The corrections learned of one endpoint, None for those without data.

    Attributes:
        text, image, audio: factors on our count. start, message: tokens of framing, once and per message.
    """

    text: Quantity | None = None
    image: Quantity | None = None
    audio: Quantity | None = None
    start: Quantity | None = None
    message: Quantity | None = None

    def framing(self, messages: int) -> Levels | None:
        """Return the tokens of a chat template over so many messages, None where unknown."""
        if self.start is None or self.message is None:
            return None
        return plus(levels_of(self.start), times(levels_of(self.message), messages))

    def middle(self, kind: str) -> float:
        """Return the factor of text, image or audio, 1 where none was learned."""
        found: Quantity | None = getattr(self, kind)
        return 1.0 if found is None else found.mid


def endpoint_calibration(endpoint: str, statistics: Statistics) -> TokenCalibration | None:
    """Return the calibration of an endpoint, None where nothing was learned."""
    if not statistics.rows:
        return None
    found = [statistics.get(endpoint, figure) for figure in (*CALIBRATION_FACTORS, *FRAMING_FIGURES)]
    return TokenCalibration(*found) if any(each is not None for each in found) else None


def calibrated(tokens: Levels, factor: Quantity | None) -> Levels:
    """Return our count as that server counts. Both ranges are independent, so their logarithms add as squares."""
    low, mid, high = tokens
    if factor is None or not 0 < mid < math.inf or factor.mid <= 0:
        return tokens
    middle = mid * factor.mid
    up = math.hypot(math.log(high / mid), math.log(factor.high / factor.mid)) if high < math.inf else math.inf
    down = math.hypot(math.log(mid / low), math.log(factor.mid / factor.low)) if low > 0 and factor.low > 0 else 0.0
    least = middle * math.exp(-down) if low > 0 and factor.low > 0 else 0.0
    return (least, middle, middle * math.exp(up) if up < math.inf else math.inf)


def correction_text(figure: str, quantity: Quantity) -> str:
    """Return a correction in words, "" for one that is part of another.

    >>> from intermodal.quantity import between
    >>> correction_text("image_factor", between(1.1, 1.18, 1.3, "12 runs here"))
    'pictures x1.18, 12 runs here'
    """
    if figure in _WORDS:
        return f"{_WORDS[figure]} x{quantity.mid:.2f}, {quantity.basis}"
    return f"framing {quantity.mid:.0f} tok, {quantity.basis}" if figure == "framing_start" else ""


def calibration_text(endpoint: str, statistics: Statistics) -> str:
    """Return everything learned of an endpoint's counting, in words; "" where nothing was."""
    known = [(figure, statistics.get(endpoint, figure)) for figure in (*CALIBRATION_FACTORS, "framing_start")]
    return "; ".join(correction_text(figure, quantity) for figure, quantity in known if quantity is not None)
