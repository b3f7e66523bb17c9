"""Compare servers' token counts with ours, and fit correction factors.

Before a call is sent, its content is counted by our own rules (``executor/preparation/request_size.py``): text, images,
audio, and the number of messages. The server's reported count is then modelled as

    framing_start + framing_message * messages + text_factor * text + image_factor * image + audio_factor * audio

with ``text_factor`` 1 if the text was counted exactly; a modality that the server reports separately is an equation of
its own. The coefficients are fitted together (``speed_regression.py``) and shrunk towards our rules: factors to 1,
framing to ``cost_model/tokens.py``. Our count is never corrected, so that learned factors stay valid.
"""

from __future__ import annotations

from collections.abc import Sequence

from intermodal.cost_model.token_calibration import CALIBRATION_FACTORS, FRAMING_FIGURES
from intermodal.cost_model.tokens import MESSAGE, TEMPLATE
from intermodal.store.rows import AttemptRow
from intermodal.store.speed_regression import CoefficientPrior, Observation

FIGURES = (*CALIBRATION_FACTORS, *FRAMING_FIGURES)
# Spreads are standard deviations of a logarithm: vocabularies of one script differ by a third, rules for images by
# half, tokens of a second of audio by two (10 to 32), templates by e.
PRIORS: dict[str, CoefficientPrior] = {
    "text_factor": CoefficientPrior(1.0, 0.35),
    "image_factor": CoefficientPrior(1.0, 0.5),
    "audio_factor": CoefficientPrior(1.0, 0.7),
    "framing_start": CoefficientPrior(TEMPLATE[1], 1.0),
    "framing_message": CoefficientPrior(MESSAGE[1], 0.4),
}
_CHATS = ("generate", "translate", "describe")
# How far a plausible count may differ from ours: vocabularies and scripts differ by a factor of three, a server's own
# prompt adds some hundred tokens, rules for images and audio are guesses for many models.
_TEXT_APART, _MEDIA_APART, _BEFORE = 4.0, 10.0, 1500.0
_LEAST = 0.5  # tokens of framing if a server counts none: the logarithm needs a positive number


def token_equations(row: AttemptRow, weight: float = 1.0) -> list[Observation]:
    """Return the equations for a row's input counts; [] if it was not counted, or the server reported nothing."""
    work, outcome = row.reservation.work, row.outcome
    reported = outcome.usage.input_tokens if outcome is not None else None
    if outcome is None or not reported or implausible(row):
        return []
    if row.reservation.op == "transcribe":
        heard = work.audio_tokens
        return [Observation((("audio_factor", heard),), float(reported), weight)] if heard else []
    if row.reservation.op not in _CHATS or not work.messages:
        return []
    found: list[Observation] = []
    left, amounts = float(reported), [("framing_start", 1.0), ("framing_message", float(work.messages))]
    if work.text_exact:
        left -= work.text_tokens
    elif work.text_tokens:
        amounts.append(("text_factor", work.text_tokens))
    parts = (
        ("image_factor", work.image_tokens, outcome.told_image),
        ("audio_factor", work.audio_tokens, outcome.told_audio),
    )
    for name, ours, theirs in parts:
        if ours and theirs:
            left -= theirs
            found.append(Observation(((name, ours),), float(theirs), weight))
        elif ours:
            amounts.append((name, ours))
    if left >= 0:
        found.append(Observation(tuple(amounts), max(left, _LEAST), weight))
    return found


def implausible(row: AttemptRow) -> str:
    """Return why a server's input count is implausible; "" if it is plausible, or there is nothing to compare.

    A server that reports 0 or ten times the input (some do, for cached prompts or by mistake) is billed by that count,
    but nothing is learned from it.
    """
    work, outcome = row.reservation.work, row.outcome
    reported = outcome.usage.input_tokens if outcome is not None else None
    media = work.image_tokens + work.audio_tokens
    if reported is None or row.reservation.op not in _CHATS or not work.messages or not (work.text_tokens or media):
        return ""
    most = work.text_tokens * _TEXT_APART + media * _MEDIA_APART + _BEFORE
    least = work.text_tokens / _TEXT_APART + media / _MEDIA_APART
    if least <= reported <= most:
        return ""
    return f"it counted {reported:,} tokens where between {least:,.0f} and {most:,.0f} can be"


def weighted_equations(rows: Sequence[tuple[AttemptRow, float]]) -> list[Observation]:
    """Return the equations of all rows with their weights."""
    return [one for row, weight in rows for one in token_equations(row, weight)]
