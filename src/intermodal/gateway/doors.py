"""The table of paths. What is not in it is not served; what other servers have and this one has not is said so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from intermodal.gateway import chats, described, explained, health, listing, metrics, prompts, works
from intermodal.gateway.dialects import CHAT, GENERATE, MESSAGES, OLLAMA, RESPONSES, Dialect
from intermodal.gateway.guard import asks_first, leave
from intermodal.gateway.ledger.nouns import OPEN, VirtualKey
from intermodal.gateway.messages import Asked, Head
from intermodal.gateway.reply import Reply
from intermodal.protocols.errors.responses import RequestRefused

if TYPE_CHECKING:
    from intermodal.gateway.serving import Gateway

Answering = Callable[["Gateway", Asked, Reply], Awaitable[None]]


class Door(NamedTuple):
    """What answers at a path. ``open``: without a key. ``body``: what must come in. ``passes``: how chats
    are read that may be passed on."""

    answer: Answering
    open: bool = False
    body: str = ""
    passes: Dialect | None = None


def _chats(dialect: Dialect, body: str = "") -> Door:
    return Door(partial(chats.chat, dialect=dialect), body=body, passes=dialect)


async def _may_send(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """A browser asks what a page of ``[serve] origins`` may send."""
    reply.whole(204, b"", leave(asked.head))


_ASKED_FIRST = Door(_may_send, open=True)
_JSON = "application/json"
METRICS = "/metrics"
DOORS: Mapping[tuple[str, str], Door] = {
    ("GET", "/"): Door(health.here),
    ("GET", "/healthz"): Door(health.healthz, open=True),
    ("GET", "/readyz"): Door(health.readyz, open=True),
    ("GET", METRICS): Door(metrics.metrics),
    ("GET", "/openapi.json"): Door(described.openapi),
    ("GET", "/v1/models"): Door(listing.models),
    ("GET", "/v1/models/"): Door(listing.model),
    ("GET", "/v1/prompts"): Door(prompts.listed),
    ("GET", "/v1/prompts/"): Door(prompts.one),
    ("POST", "/v1/chat/completions"): _chats(CHAT, body=_JSON),
    ("POST", "/v1/responses"): _chats(RESPONSES, body=_JSON),
    ("POST", "/v1/embeddings"): Door(works.embeddings, body=_JSON),
    ("POST", "/v1/audio/transcriptions"): Door(works.transcriptions, body="multipart/form-data"),
    ("POST", "/v1/audio/translations"): Door(works.translations, body="multipart/form-data"),
    ("POST", "/v1/audio/speech"): Door(works.speech, body=_JSON),
    ("POST", "/v1/images/generations"): Door(works.pictures, body=_JSON),
    ("POST", "/v1/messages"): _chats(MESSAGES, body=_JSON),
    ("POST", "/v1/messages/count_tokens"): Door(explained.count_tokens, body=_JSON),
    ("POST", "/api/chat"): _chats(OLLAMA),  # its clients send no content-type
    ("POST", "/api/generate"): Door(partial(chats.chat, dialect=GENERATE)),
    ("POST", "/api/embed"): Door(works.embed),
    ("GET", "/api/tags"): Door(listing.tags),
    ("GET", "/api/ps"): Door(listing.running),
    ("POST", "/api/show"): Door(listing.show),
    ("GET", "/api/version"): Door(listing.version),
    ("POST", "/v1/explain"): Door(explained.explain, body=_JSON),
    ("GET", "/v1/plans/"): Door(explained.plan),
}
_PATHS = frozenset(path for _, path in DOORS)
_BELOW = tuple(path for _, path in DOORS if path.endswith("/") and path != "/")  # the rest of the path is a name
# What clients may look for, and why it is not here.
_NOT_HERE: Mapping[str, str] = {
    "/v1/files": "no files are kept here: send a file with the message it belongs to",
    "/v1/batches": "no batches are kept here",
    "/v1/assistants": "no assistants are kept here: send the whole conversation",
    "/v1/threads": "no conversations are kept here: send the whole conversation",
    "/v1/conversations": "no conversations are kept here: send the whole conversation",
    "/v1/vector_stores": "no files are kept here",
    "/v1/fine_tuning": "models are not trained here",
    "/v1/audio/translations": "transcribe, then ask a model to translate",
    "/v1/images/edits": "only new pictures are drawn: use /v1/images/generations",
    "/v1/images/variations": "only new pictures are drawn: use /v1/images/generations",
    "/v1/completions": "only chats are served: use /v1/chat/completions",
    "/v1/messages/batches": "no batches are kept here",
    "/v1/moderations": "nothing is judged here",
    "/v1/realtime": "calls are not held here: send the recording",
    "/api/embeddings": "use /api/embed",
    "/api/pull": "weights come by: intermodal pull",
}


def door_of(head: Head) -> Door:
    """The door a head asks for. Raises Refused, 404 or 405."""
    path = head.path
    if (door := DOORS.get((head.method, path))) is not None and not path.endswith("/"):
        return door
    if asks_first(head):
        return _ASKED_FIRST
    below = next((prefix for prefix in _BELOW if path.startswith(prefix) and len(path) > len(prefix)), path)
    method = "GET" if head.method == "HEAD" else head.method
    door = DOORS.get((method, below))
    if door is not None:
        return door
    others = [verb for verb, there in DOORS if there == below and not (there in _BELOW and below == path)]
    if others:
        raise RequestRefused(f"{path} takes {' or '.join(others)}", status=405, headers={"allow": ", ".join(others)})
    for prefix, why in _NOT_HERE.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            raise RequestRefused(f"{prefix} is not served: {why}", status=404, code="not_served")
    raise RequestRefused("there is nothing at this path", status=404, code="not_found")


def route_of(head: Head) -> str:
    """The path of a head's door, without the name that may follow it: one of few; "" where there is none."""
    if head.path in _PATHS:
        return head.path
    return next((prefix for prefix in _BELOW if head.path.startswith(prefix)), "")


def may_watch(head: Head, key: VirtualKey, watching: str) -> None:
    """Counts are for keys made to read them, which read nothing else; ``watching`` is ``[serve] metrics``.

    Without keys whoever is on this machine may. Raises Refused.
    """
    if head.path != METRICS:
        if key.metrics:
            raise RequestRefused(
                f"key {key.name!r} reads {METRICS} and nothing else", status=403, code="key_not_allowed"
            )
    elif watching == "off":
        raise RequestRefused("there is nothing at this path", status=404, code="not_found")
    elif watching == "keys" and key is not OPEN and not key.metrics:
        todo = "ask for a key that is made for it, or for another word of metrics under [serve] in the server's config"
        raise RequestRefused(f"key {key.name!r} may not read {METRICS}", status=403, todo=todo, code="key_not_allowed")


def is_open(head: Head, watching: str = "keys") -> bool:
    """Whether a path answers without a key; ``watching``: as ``[serve] metrics`` says who reads the counts."""
    door = DOORS.get(("GET", head.path))
    return door is not None and (door.open or (head.path == METRICS and watching == "open"))


def words_of(head: Head | None) -> str:
    """In whose words an error at this path is said, whether there is a door or not."""
    path = head.path if head is not None else ""
    if path.startswith("/api/"):
        return "ollama"
    return "anthropic" if path.startswith("/v1/messages") else "openai"
