"""Limits of an endpoint, learned from the errors of its calls. Pure."""

from __future__ import annotations

from typing import cast

from intermodal import errors
from intermodal.catalog.types import Endpoint, EndpointShortcoming
from intermodal.content import Kind
from intermodal.executor.drivers.interface import CallJob
from intermodal.executor.preparation.preflight import kinds_in
from intermodal.request import Zone

# Runtimes of one's own, which media can kill; a service of others is many machines.
NEAR: tuple[Zone, ...] = ("machine", "network")


def lesson_from_error(error: errors.IntermodalError, job: CallJob) -> EndpointShortcoming | None:
    """Return the limit that an endpoint named itself; None where its error names none."""
    if not isinstance(error, errors.CallError) or not error.sent:
        return None
    endpoint = job.endpoint
    given = _media_kinds(job)
    if given and endpoint.host.zone in NEAR and _crashed(error):
        words = f"{error.what} when it was sent {' and '.join(given)}"
        return EndpointShortcoming(endpoint=endpoint.id, lacks=given, said=words, build=endpoint.build)
    if isinstance(error, errors.UnsupportedModality):
        named = cast("Kind", error.kind)
        # If it does not say which kind it refuses, none of them is sent to it again.
        lacks = (named,) if named in given else given
        found = EndpointShortcoming(endpoint=endpoint.id, lacks=lacks, said=error.what, build=endpoint.build)
        return found if lacks else None
    if isinstance(error, errors.RequestTooLarge):
        return EndpointShortcoming(endpoint=endpoint.id, images=error.limit, said=error.what) if error.limit else None
    return context_lesson(error, endpoint)


def context_lesson(error: errors.IntermodalError, endpoint: Endpoint) -> EndpointShortcoming | None:
    """Return the context length that a failure shows; None where it shows nothing new."""
    if not isinstance(error, errors.ContextExceeded) or isinstance(error, errors.RequestTooLarge):
        return None
    limit = error.limit or error.cut
    believed = endpoint.context or endpoint.model.context
    if not limit or (believed is not None and limit >= believed):
        return None
    return EndpointShortcoming(endpoint=endpoint.id, context=limit, said=error.what, suspected=not error.limit)


def _crashed(error: errors.CallError) -> bool:
    """Return whether the runtime crashed over its input, along with everything else it was doing."""
    return isinstance(error, errors.RuntimeCrashed) or (isinstance(error, errors.Unreachable) and error.hung_up)


def _media_kinds(job: CallJob) -> tuple[Kind, ...]:
    """The kinds of part a job sends besides text."""
    if job.chat is not None:
        return kinds_in(job.chat)
    if job.sound is not None:
        return ("audio",)
    return ("image",) if job.pictures else ()
