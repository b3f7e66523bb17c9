"""How often the answer is right: every question of examples/media/report.json, on the embedded default.

    python benchmarks/answers.py

Right means that the known answer stands in what was said, word for word. It grades the model that comes
along more than the planner, and is here so that nobody has to guess how far 135M parameters carry.
"""

from __future__ import annotations

import json
from pathlib import Path

import report
from home import fresh_home

import intermodal
from intermodal.client import request_builder

MEDIA = Path(__file__).parent.parent / "examples" / "media"
INVOICE = {
    "What is the total due on the invoice?": "1,380.50",
    "What is the invoice number?": "INV-20417",
    "What is the container number?": "MSKU 482913-7",
    "How much is the freight?": "1,284.50",
}


def main() -> None:
    truth = json.loads((MEDIA / "report.json").read_text())
    questions = {name: truth[name]["answers"] for name in ("report.pdf", "scanned.pdf")}
    questions["screenshot-invoice.png"] = INVOICE
    rows = []
    right = given = total = 0
    with fresh_home() as env, intermodal.Client(env=env) as client:
        for name, answers in questions.items():
            for question, known in answers.items():
                result = client.run(request_builder.make_request(question, str(MEDIA / name), max_tokens=120))
                there = known in " ".join(" ".join(derived.text for derived in result.derived).split())
                good = known in result.text
                total, right, given = total + 1, right + good, given + there
                said = " ".join(result.text.split())
                rows.append(
                    (name, question, known, "yes" if good else "no", said[:100] + ("…" if len(said) > 100 else ""))
                )
    report.write(
        "answers",
        "Answers of the embedded default",
        f"{right} of {total} answers hold the known answer word for word; "
        f"in {given} of {total} it stood in the text that the model was given.\n\n"
        + report.table(("file", "question", "known answer", "right", "said"), rows),
    )


if __name__ == "__main__":
    main()
