"""The child process that estimates what a question needs, with embeddings of multilingual-e5-small.

It does all the arithmetic, because several hundred products of vectors would block an event loop for milliseconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from intermodal.concurrency.worker_process import serve
from intermodal.local.embedded import e5
from intermodal.questions.needs_regression import (
    Examples,
    embedded_form,
    joined_questions,
    load_examples,
    question_needs,
    sentences,
)


@lru_cache(maxsize=1)
def _examples() -> Examples:
    return load_examples()


def needs(question: str) -> Any:
    """Return the ``QuestionFacts`` for every medium, as built-in types."""
    model = _examples().model

    def vectors(texts: tuple[str, ...]) -> list[Any]:
        return [e5.embed("", model, embedded_form(text), query=True)["vector"] for text in texts]

    found = question_needs(vectors(sentences(question)), _examples(), vectors(joined_questions(question)))
    return msgspec.to_builtins(found)


if __name__ == "__main__":
    serve({"needs": needs})
