"""``Answer``, the return value of ``ask``: the typed value, the result of the run, and its plan."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

from intermodal.events import FieldEvidence, Result, Usage
from intermodal.plans import numbers
from intermodal.plans.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The return value of ``ask``.

    Attributes:
        value: the answer converted to the type of its schema; the text of the answer if there is no schema.
        result: the result of the run. plan: the plan that ran.
    """

    value: T
    result: Result
    plan: Plan

    @property
    def text(self) -> str:
        return self.result.text

    @property
    def cost(self) -> float | None:
        """Cost in USD; None if unknown."""
        return self.result.cost

    @property
    def seconds(self) -> float:
        """Wall time of the whole run."""
        return self.result.seconds

    @property
    def usage(self) -> Usage:
        """The tokens of all calls, as reported by the endpoints."""
        return self.result.usage

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the answer: a lost aspect, a failed check, a changed route."""
        return self.result.notes

    @property
    def evidence(self) -> tuple[FieldEvidence, ...]:
        """Where each value of a JSON answer occurs in the files; () without a schema or a file."""
        return self.result.evidence

    def __str__(self) -> str:
        return self.result.text

    def _repr_html_(self) -> str:
        """Return the answer as HTML for a notebook: text, images and audio, then the cost and the plan."""
        return _answer_html(self.result, self.plan)


def _answer_html(result: Result, plan: Plan) -> str:
    """Return an HTML fragment without scripts or links: text is escaped, media are embedded as data URLs."""
    pieces: list[str] = []
    if result.data is not None:
        pieces.append(f"<pre>{escape(json.dumps(result.data, indent=2, ensure_ascii=False))}</pre>")
    elif result.text:
        pieces.append(f'<div style="white-space:pre-wrap">{escape(result.text)}</div>')
    if result.transcript is not None and not result.text:
        pieces.append(f'<div style="white-space:pre-wrap">{escape(result.transcript.text)}</div>')
    if result.scores:
        rows = "".join(
            f"<tr><td>{escape(label)}</td><td>{score:.3f}</td></tr>" for label, score in result.scores.items()
        )
        pieces.append(f"<table>{rows}</table>")
    if result.embedding:
        pieces.append(f"<div>a vector of {len(result.embedding):,} numbers</div>")
    for image in result.images:
        pieces.append(
            f'<img style="max-width:100%" alt="an image that was made" src="{_data(image.media_type, image.data)}">'
        )
    if result.speech is not None:
        pieces.append(f'<audio controls src="{_data(result.speech.media_type, result.speech.data)}"></audio>')
    pieces.append(f"<div><small>{escape(_usage_line(result))}</small></div>")
    pieces += [f"<div><small>note: {escape(note)}</small></div>" for note in result.notes]
    pieces.append(f"<details><summary>plan</summary>{plan._repr_html_()}</details>")
    return "".join(pieces)


def _data(media_type: str, data: bytes) -> str:
    return f"data:{escape(media_type, quote=True)};base64,{base64.b64encode(data).decode()}"


def _usage_line(result: Result) -> str:
    """Return the endpoint, token counts, cost and duration as one line; unknown token counts are omitted."""
    usage = result.usage
    tokens = [
        f"{count:,} tokens {direction}"
        for count, direction in ((usage.input_tokens, "in"), (usage.output_tokens, "out"))
        if count is not None
    ]
    cost = "cost not known" if result.cost is None else f"${numbers.plain_money(result.cost)}"
    return ", ".join([result.endpoint, *tokens, cost, f"{numbers.plain_seconds(result.seconds)} s"])
