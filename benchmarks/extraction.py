"""Fields read from sixty invoices, receipts and letters by the embedded default: right before, right now, marked.

    python benchmarks/extraction.py [COUNT]

Before: the host is held to the schema and the model is told nothing of it, and nobody looks where a value stands. Now:
as everybody has it. Documents and truth are those of ``extraction_set.py``; PDFs are extracted, scans and pictures read
by the embedded reader, which is why a value may stand in a document and not in the text that was made of it.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import report
from extraction_set import QUESTIONS, Paper, papers, right
from home import fresh_home

import intermodal
from intermodal.client import request_builder
from intermodal.executor.outputs import json_answer

LONGEST = 200  # tokens of an answer
_asked_in_words = json_answer.schema_instruction


def main() -> None:
    made = papers(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
    before: list[Any] = []
    now: list[Any] = []
    # What was read until Ctrl-C is a result, too.
    with (
        suppress(KeyboardInterrupt),
        fresh_home() as env,
        intermodal.Client(env=env) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        for paper in made:
            path = Path(folder) / paper.name
            path.write_bytes(paper.data)
            first, second = _read(client, path, paper, told=False), _read(client, path, paper, told=True)
            before.append(first)
            now.append(second)
            print(f"{len(now)} of {len(made)}", file=sys.stderr, flush=True)
    _write(made[: len(now)], before, now)


def _read(client: intermodal.Client, path: Path, paper: Paper, *, told: bool) -> Any:
    """The result for a document; the error where there is none."""
    json_answer.schema_instruction = _asked_in_words if told else lambda *given, **more: ""
    request = request_builder.make_request(
        QUESTIONS[paper.kind], str(path), schema=paper.schema, max_tokens=LONGEST, evidence="retry" if told else "off"
    )
    try:
        return client.run(request)
    except intermodal.IntermodalError as error:
        return error


def _write(made: list[Paper], before: list[Any], now: list[Any]) -> None:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for paper, first, second in zip(made, before, now, strict=True):
        status = {each.field: each.status for each in getattr(second, "evidence", ())}
        for name, true in paper.truth.items():
            of = counts.setdefault((paper.kind, name), Counter())
            good = right(_value(second, name), true)
            of["fields"] += 1
            of["before"] += right(_value(first, name), true)
            of["now"] += good
            of[f"{'right' if good else 'wrong'} {status.get(f'/{name}', 'no answer')}"] += 1
    total = sum(counts.values(), Counter())
    again = sum(bool(getattr(each, "retries", ())) for each in now)
    wrong = total["fields"] - total["now"]
    body = (
        f"{len(made)} documents with {total['fields']} fields, read by the embedded SmolLM2-135M. Right before: "
        f"{total['before']}; right now: {total['now']}.\n\nOf the {wrong} fields that are wrong now, "
        f"{total['wrong unverified']} are marked as standing in none of the files, {total['wrong unchecked']} are "
        f"empty or a word of the schema's own list that stands nowhere, {total['wrong found']} stand "
        f"in the text in another place or form, and of {total['wrong no answer']} there was no answer. "
        f"{total['right unverified']} right fields are marked. {again} documents were asked about once more.\n\n"
    )
    columns = ("fields", "before", "now", "wrong unverified", "wrong unchecked", "wrong found", "right unverified")
    rows = [(kind, name, *(str(of[each]) for each in columns)) for (kind, name), of in counts.items()]
    report.write("extraction", "Fields of documents", body + report.table(("kind", "field", *columns), rows))


def _value(result: Any, name: str) -> Any:
    data = getattr(result, "data", None)
    return data.get(name) if isinstance(data, dict) else None


if __name__ == "__main__":
    main()
