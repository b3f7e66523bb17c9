"""Labelled files are read strictly: every bad line is named with its number, before anything is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intermodal.core.request import JsonOutput, ScoresOutput, TextOutput, TranscriptOutput
from intermodal.errors import InputBroken, InputEmpty, InputMissing
from intermodal.evaluation.dataset import COMPARES, item_output, item_request, load_dataset

GOOD = {"prompt": "What?", "expected": "this", "compare": "contains"}
ROOT = Path(__file__).parents[3]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "set.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"', "is not JSON (column"),
        ("[1]", "is not a JSON object"),
        ({"prompt": "a", "compare": "exact"}, "lacks expected"),
        ({"prompt": "a", "expected": "b"}, "lacks compare"),
        (
            {"prompt": "a", "expekted": "b", "compare": "exact"},
            "has an unknown field 'expekted', did you mean expected?",
        ),
        ({**GOOD, "compare": "fuzzy"}, f"has a wrong compare: it is one of {', '.join(COMPARES)}"),
        ({**GOOD, "promt": "a"}, "has an unknown field 'promt', did you mean prompt?"),
        ({**GOOD, "max_tokens": "many"}, "has a wrong max_tokens: expected"),
        ({**GOOD, "keep": ["looks"]}, "has a wrong keep: it is one of words"),
        ({**GOOD, "prompt": ""}, "asks nothing"),
        ({**GOOD, "files": ["gone.wav"]}, "names a file that is not there: gone.wav"),
        ({**GOOD, "expected": []}, "expected is an empty list"),
        ({**GOOD, "expected": "12", "compare": "number"}, "compare number takes a number"),
        ({**GOOD, "expected": "(", "compare": "regex"}, "expects an invalid pattern"),
        ({**GOOD, "expected": "x", "compare": "json"}, "compare json takes one"),
        ({**GOOD, "compare": "labels"}, "has no labels to choose from"),
        ({**GOOD, "compare": "labels", "labels": ["a"]}, "which is not among its labels"),
        ({**GOOD, "output": "scores"}, "wants scores but has no labels"),
        ({**GOOD, "schema": {"type": 3}}, "cannot be asked"),
        ({**GOOD, "language": "xx"}, "cannot be asked: there is no language"),
        ({**GOOD, "deadline": -1}, "cannot be asked"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: object, said: str) -> None:
    with pytest.raises(InputBroken) as caught:
        load_dataset(written(tmp_path, GOOD, "", line))
    assert "a line cannot be used: line 3 " in str(caught.value) and said in str(caught.value)
    assert "nothing was run" in str(caught.value)


def test_every_bad_line_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        InputBroken, match=r"3 lines cannot be used, the first of them line 1; nothing was run"
    ) as caught:
        load_dataset(written(tmp_path, "x", "[]", {**GOOD, "id": "a"}, {**GOOD, "id": "a"}))
    assert [reason.partition(" is ")[0] for reason in caught.value.reasons[:2]] == ["line 1", "line 2"]
    assert caught.value.reasons[2].startswith("line 4 has the id 'a' of line 3")


def test_a_file_that_is_not_there_or_holds_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="cannot be read"):
        load_dataset(tmp_path / "gone.jsonl")
    with pytest.raises(InputMissing, match="is a folder"):
        load_dataset(tmp_path)
    with pytest.raises(InputEmpty, match="holds no item"):
        load_dataset(written(tmp_path, "", " "))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputBroken, match="line 1 is not JSON"):
        load_dataset(tmp_path / "bytes.jsonl")


def test_files_are_beside_the_data_and_the_output_follows_from_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    data = load_dataset(
        written(
            tmp_path,
            {"files": ["a.wav"], "expected": "ask", "compare": "wer"},
            {**GOOD, "expected": {"a": 1}, "compare": "json"},
            {**GOOD, "id": 7, "output": "scores", "compare": "labels", "labels": ["this", "that"]},
            GOOD,
        )
    )
    assert [item.id for item in data.items] == ["line 1", "line 2", "7", "line 4"]
    kinds = [type(item_output(item)) for item in data.items]
    assert kinds == [TranscriptOutput, JsonOutput, ScoresOutput, TextOutput]
    request = item_request(data.items[0], tmp_path, max_tokens=5)
    [(_, _, part)] = request.parts()
    assert part.source.path == str(tmp_path / "a.wav")  # type: ignore[union-attr]
    assert request.sampling.max_tokens == 5


def test_the_items_own_options_outrank_those_of_the_evaluation(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, {**GOOD, "max_tokens": 9}))
    assert item_request(data.items[0], tmp_path, max_tokens=5, seed=1).sampling.max_tokens == 9


def test_the_example_set_is_read() -> None:
    data = load_dataset(ROOT / "examples" / "eval" / "rail.jsonl")
    assert len(data.items) >= 25
    assert {item.compare for item in data.items} == set(COMPARES)
