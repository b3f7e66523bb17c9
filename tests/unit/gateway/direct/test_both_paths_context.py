"""A prompt that its model's window does not hold is refused alike on both paths, and what fits reserves alike."""

from __future__ import annotations

from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.test_both_paths_openai_chat import GOOD, asks

WINDOW, ANSWER = 300, 50  # tokens


def of_words(words: int) -> Case:
    model = Model([GOOD], price=10.0, context=WINDOW, row='input = ["text"]\ntokenizer = "smollm2"')
    return Case([model], asks(" ".join(["cat"] * words)) | {"max_tokens": ANSWER})


CASES = {f"words{words}": of_words(words) for words in (60, 120, 130, 140, 146, 148, 150, 160, 200, 300)}
SAMPLE = CASES


def test_a_prompt_is_held_by_the_window_or_refused_alike_on_both_paths(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    assert {row["est_input_high"] for row in direct.attempts} == {row["est_input_high"] for row in executor.attempts}
    if direct.status != 200:
        assert direct.attempts == [] and not direct.hits, "nothing was sent, and nothing charged"
        assert f"{ANSWER} for the answer; holds {WINDOW}" in beside.text
