"""What a failed call teaches about its endpoint, so that it is planned around and never met there again. Pure."""

from __future__ import annotations

from typing import cast

from intermodal import errors
from intermodal.catalog.nouns import Shortcoming
from intermodal.content import Kind
from intermodal.executor.context import kinds_in
from intermodal.executor.job import Job


def taught(error: errors.IntermodalError, job: Job) -> Shortcoming | None:
    """What the endpoint itself said it cannot take; None where it said nothing of that sort."""
    if not isinstance(error, errors.CallError) or not error.sent:
        return None
    endpoint = job.endpoint
    if isinstance(error, errors.UnsupportedModality):
        given = _given(job)
        named = cast("Kind", error.kind)
        # Where it does not say which of them it refuses, none of them is sent to it again.
        lacks = (named,) if named in given else given
        return Shortcoming(endpoint=endpoint.id, lacks=lacks, said=error.what) if lacks else None
    if isinstance(error, errors.RequestTooLarge):
        return Shortcoming(endpoint=endpoint.id, images=error.limit, said=error.what) if error.limit else None
    if isinstance(error, errors.ContextExceeded) and error.limit:
        believed = endpoint.context or endpoint.model.context
        if believed is None or error.limit < believed:
            return Shortcoming(endpoint=endpoint.id, context=error.limit, said=error.what)
    return None


def _given(job: Job) -> tuple[Kind, ...]:
    """The kinds of part a job sends besides text."""
    if job.chat is not None:
        return kinds_in(job.chat)
    if job.sound is not None:
        return ("audio",)
    return ("image",) if job.pictures else ()
