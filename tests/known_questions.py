"""What questions need, estimated once by each process of pytest.

Most tests that ask about a file promise nothing of this estimate, and each of their clients would start the child with
the sentence model for it, which takes a quarter of a second of the processor. It is a function of the question alone,
so its answer is kept, as bytes that are decoded anew for each client. Everything before the child stays as it is: the
cache of a client, its limits, and the sentence model that is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from intermodal.concurrency.worker_process import WorkerProcess, WorkerReply

QUESTION_WORKER = "intermodal.questions.question_worker"
_answers: dict[str, bytes] = {}


class KnownQuestions:
    """The child that estimates what a question needs, started for a question that no client has asked before."""

    def __init__(self, child: Any) -> None:
        self._child = child

    @property
    def pid(self) -> int | None:
        pid: int | None = getattr(self._child, "pid", None)
        return pid

    async def call(self, method: str, arguments: dict[str, Any], **options: Any) -> WorkerReply:
        key = msgspec.json.encode([method, arguments]).decode()
        if key not in _answers:
            _answers[key] = msgspec.msgpack.encode((await self._child.call(method, arguments, **options)).value)
        return WorkerReply(value=msgspec.msgpack.decode(_answers[key]))

    async def close(self) -> None:
        await self._child.close()


def with_known_questions(start_child: Callable[[str, str, str], WorkerProcess]) -> Callable[[str, str, str], Any]:
    """Return ``start_child`` with ``KnownQuestions`` before the child of the questions."""

    def start(module: str, protocol: str, name: str) -> Any:
        child = start_child(module, protocol, name)
        return KnownQuestions(child) if module == QUESTION_WORKER else child

    return start
