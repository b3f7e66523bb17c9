"""Asks the child process what questions need, and remembers its answers. The child starts with the first question."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from intermodal.bounded_cache import BoundedCache
from intermodal.content import Kind
from intermodal.errors import IntermodalError
from intermodal.plans.facts import Medium, QuestionFacts
from intermodal.questions.word_requests import with_words_alone

if TYPE_CHECKING:
    from collections.abc import Collection

    from intermodal.concurrency.worker_process import WorkerProcess

SECONDS = 10.0  # for one question, the start of the child included
AGAIN = 60.0  # seconds after a failure in which the child is left alone
WAITING = 32  # questions that wait for the child; further ones are read by keywords
KEPT = 512  # questions that are remembered
ROOM = 2 << 20  # bytes of all of them
_FACTS = 2_000  # approximate bytes of the facts about one question
_MEDIA: dict[Kind, tuple[Medium, ...]] = {
    "image": ("photo", "page", "image", "pictures"), "audio": ("audio",), "video": ("video",),
    "document": ("document",),
}  # fmt: skip


class QuestionReader:
    """Estimates what questions need. Never raises: without a sentence model, or where it fails, the estimate is
    None."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._known: BoundedCache[str, QuestionFacts] = BoundedCache(
            "what questions need", KEPT, room=ROOM, size=lambda question, _: len(question.encode()) + _FACTS
        )
        self._waiting = 0
        self._again = 0.0

    @property
    def pid(self) -> int | None:
        return None if self._worker is None else self._worker.pid

    def known(self, question: str, kinds: Collection[Kind]) -> QuestionFacts | None:
        """Return the estimate for a question asked before; None for others."""
        found = self._known.get(question)
        return None if found is None else _of(found, kinds)

    async def needs(self, question: str, kinds: Collection[Kind]) -> QuestionFacts | None:
        """Estimate what a question needs of media of these kinds.

        None for a question without words, and where no sentence model is installed, or it is overloaded or failed.
        """
        if not any(map(str.isalnum, question)) or not any(kind in _MEDIA for kind in kinds):
            return None
        found = self._known.get(question) or await self._asked(question)
        if found is None:
            return None
        self._known[question] = found
        return _of(found, kinds)

    async def _asked(self, question: str) -> QuestionFacts | None:
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
        """End the child."""
        if self._worker is not None:
            await self._worker.close()
            self._worker = None


def _of(told: QuestionFacts, kinds: Collection[Kind]) -> QuestionFacts:
    media = {medium for kind in kinds for medium in _MEDIA.get(kind, ())}
    return msgspec.structs.replace(told, media=tuple(each for each in told.media if each.medium in media))


__all__ = ["QuestionReader"]
