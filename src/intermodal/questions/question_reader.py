"""Asks the child process what questions need, and caches its answers. The child starts with the first question."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.content import Kind
from intermodal.errors import IntermodalError
from intermodal.plans.facts import Medium, QuestionFacts
from intermodal.questions.word_requests import split_word_request, with_words_alone, with_words_and_properties

if TYPE_CHECKING:
    from collections.abc import Collection

    from intermodal.concurrency.worker_process import WorkerProcess

SECONDS = 10.0  # timeout of one question, including the start of the child
AGAIN = 60.0  # seconds after a failure before the child is called again
WAITING = 32  # maximum number of queued questions; further ones fall back to keywords
KEPT = 512  # cached questions
ROOM = 2 << 20  # bytes of the cache
_FACTS = 2_000  # approximate bytes of the facts about one question
_MEDIA: dict[Kind, tuple[Medium, ...]] = {
    "image": ("photo", "page", "image", "pictures"), "audio": ("audio",), "video": ("video",),
    "document": ("document",),
}  # fmt: skip


class QuestionReader:
    """Estimates what questions need.

    Never raises. Returns None without a sentence model, or if it fails.
    """

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._cache: BoundedCache[str, QuestionFacts] = BoundedCache(
            "what questions need", KEPT, room=ROOM, size=lambda question, _: len(question.encode()) + _FACTS
        )
        self._waiting = 0
        self._again = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._worker is None else self._worker.pid

    def cached_facts(self, question: str, kinds: Collection[Kind]) -> QuestionFacts | None:
        """Return the cached estimate for a question; None if it was not asked before."""
        found = self._cache.get(question)
        return None if found is None else _of(found, kinds)

    async def needs(self, question: str, kinds: Collection[Kind]) -> QuestionFacts | None:
        """Estimate what a question needs from media of these kinds.

        Returns None for a question without words, or if the sentence model is not installed, overloaded, or failed.
        """
        if not any(map(str.isalnum, question)) or not any(kind in _MEDIA for kind in kinds):
            return None
        found = self._cache.get(question) or await self._read_question(question)
        if found is None:
            return None
        self._cache[question] = found
        return _of(found, kinds)

    async def _read_question(self, question: str) -> QuestionFacts | None:
        """Return the needs of a question; of one that asks for words and for something else, read clause by clause."""
        found = await self._ask_model(question)
        if found is None or found.words_alone or not any(each.properties for each in found.media):
            return found
        clauses = split_word_request(question)
        other = await self._ask_model(clauses[0]) if clauses is not None else None
        return found if clauses is None or other is None else with_words_and_properties(found, clauses[1], other)

    async def _ask_model(self, question: str) -> QuestionFacts | None:
        from intermodal.local.embedded.availability import install_commands
        from intermodal.local.embedded.runtimes import start_child

        if install_commands()["e5"] or time.monotonic() < self._again or self._waiting >= WAITING:
            return None
        if self._worker is None:
            self._worker = start_child("intermodal.questions.question_worker", "e5", "sentence model")
        self._waiting += 1
        try:
            reply = await self._worker.call("needs", {"question": question}, timeout=SECONDS)
        except IntermodalError:
            self._again = time.monotonic() + AGAIN
            return None
        finally:
            self._waiting -= 1
        return with_words_alone(msgspec.convert(reply.value, QuestionFacts), question)

    async def close(self) -> None:
        """Stop the child process."""
        if self._worker is not None:
            await self._worker.close()
            self._worker = None


def _of(question_facts: QuestionFacts, kinds: Collection[Kind]) -> QuestionFacts:
    media = {medium for kind in kinds for medium in _MEDIA.get(kind, ())}
    return msgspec.structs.replace(
        question_facts, media=tuple(each for each in question_facts.media if each.medium in media)
    )


__all__ = ["QuestionReader"]
