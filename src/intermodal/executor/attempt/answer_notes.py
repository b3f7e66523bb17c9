"""Notes on an answer and how it ended, refusals, and missed deadlines."""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import hint
from intermodal.errors import CallError, ContentRefused

REPEATS_NOTE = "the answer repeats itself; the model may be stuck: ask differently, or use a stronger one"
LOOP_STOPPED = "the answer began to repeat itself and was stopped: ask differently, or use a stronger model"


def stops_loops(endpoint: Endpoint, *, by_schema: bool) -> bool:
    """Return True if an answer of this endpoint is stopped when it repeats itself.

    A local model is stopped: it occupies its machine as long as it continues. A host on the internet is not: its output
    is paid for in any case and bounded by the token limit, its usage is lost if the client disconnects, and it may have
    been asked to repeat something. The repetition is noted all the same. JSON may have equal lines.
    """
    return endpoint.host.zone != "internet" and not by_schema


def refusal_error(endpoint: Endpoint, words: str, step: str, *, task: str = "answer") -> ContentRefused:
    """Return the error for a refusal of ``task``, with the model's reason if it gave one."""
    what = f"refused to {task}{_quoted_reason(words)}"
    return ContentRefused(what, where=endpoint.id, todo="ask differently", status=200, step=step)


def _quoted_reason(words: str) -> str:
    reason = " ".join(words.split())[:300]
    return f': "{reason}"' if reason else ""


def stop_note(endpoint: str, limit: int | None, *, looped: bool, overran: bool, refusal: str) -> str:
    """Return the note on an answer that ended early; "" if it did not.

    It was stopped for repeating itself or at its limit, or its model refused to go on, for the reason in ``refusal``.
    """
    if looped:
        return LOOP_STOPPED
    if overran:
        return f"{endpoint} went on after the {limit} tokens that were allowed, and was stopped"
    reason = _quoted_reason(refusal)
    return f"the model refused to go on{reason}" if reason else ""


def answer_notes(
    reason: str, text: str, tokens: int | None, *, called: bool, thought: int | None = None, stopped: str = "",
    repeats: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """Return the notes on an answer and how it ended.

    Args:
        tokens: generated or allowed tokens. called: tools were called. thought: reasoning tokens among them.
        stopped: why it ended early (``stop_note``). repeats: it repeats itself.
    """
    if stopped:
        return (stopped,)
    repeat_notes = (REPEATS_NOTE,) if repeats else ()
    if reason == "length" and thought and not text.strip() and not called:
        what = "the answer ended without a word: {} tokens went into thought; allow more with {max-tokens}"
        return (hint(what, thought), *repeat_notes)
    if reason == "length":
        what = f"the answer was cut after {tokens} tokens" if tokens else "the answer was cut at the length limit"
        return (hint("{}; allow more with {max-tokens}", what), *repeat_notes)
    if reason == "content_filter":
        return ("the answer was stopped by the host's content filter", *repeat_notes)
    return repeat_notes if text.strip() or called else ("the answer is empty", *repeat_notes)


def deadline_error(seconds: float, endpoint: str) -> CallError:
    """Return the error of a run that exceeded its deadline. ``endpoint``: of the route in progress."""
    return CallError(
        f"took longer than the deadline of {seconds:g} s",
        where=endpoint,
        todo=hint("allow more time ({deadline}), or plan for speed ({objective=})", "fastest"),
    )
