"""What a block of data takes besides its text is what the planner sets aside for it."""

from __future__ import annotations

import pytest
from tests.unit.local.runtime_fixtures import REAL_WEIGHTS

from intermodal.core.content import Text
from intermodal.core.request import Message, Request
from intermodal.cost_model.tokens import BLOCK
from intermodal.executor.preparation import prompt
from intermodal.local.tokenizers.token_counter import TokenCounter
from intermodal.local.weights.store import WeightsStore
from intermodal.protocols.calls import WireText

pytestmark = pytest.mark.e2e
NAMES = (
    "report.pdf", "call.wav", "screenshot-invoice.png", "My report 2024 (final).pdf", "IMG_20240131_142233.jpg", "a.md",
    "quarterly-results-of-the-northern-region-2024-q3.xlsx", "report.docx, image 12", "a" * 80,
    "Отчёт за третий квартал 2024.pdf", "第三四半期の報告書.pdf",
)  # fmt: skip
TEXTS = ("The sum is 7.", "Dear all,\nhere it is", "abcabcabc", "Das ist gut. " * 40)


@pytest.mark.parametrize("vocabulary", ["smollm2", "o200k_base", "cl100k_base"])
def test_a_block_takes_what_was_planned_for_it(vocabulary: str) -> None:
    by = TokenCounter(WeightsStore(REAL_WEIGHTS))

    def count(text: str) -> int:
        found = by.count(vocabulary, text)
        assert found is not None
        return found

    taken = []
    for name in NAMES:
        for text in TEXTS:
            parts = (Text(text=text, name=name), Text(text="What?"))
            (message,) = prompt.chat_messages(Request(messages=(Message(role="user", parts=parts),)), {})
            (part,) = message.parts
            assert isinstance(part, WireText)
            taken.append(count(part.text) - count(f"{text}\n\nWhat?"))
    low, mid, high = BLOCK
    assert low <= min(taken) and max(taken) <= high
    assert 0.7 * mid <= sum(taken) / len(taken) <= 1.4 * mid
