"""Passages ranked by a real encoder, end to end: ``client.rerank`` and ``intermodal rerank``.

The reranker is the one of ``tests/media/tiny_bert``, which knows facts of offices.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.command import intermodal
from tests.e2e.onnx_folders import BERT, config

from intermodal.client.async_client import AsyncClient
from intermodal.errors import InputEmpty, UsageError

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
TINY = "mine:test/tiny-offices"
OFFICES = (
    "the rent of the oslo office is 20 euro",
    "oslo has 12 parking spaces",
    "ms berg leads the office in oslo",
    "lisbon has 3 parking spaces",
)


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path, "encoder", tiny_offices=BERT / "reranker")))


async def test_questions_that_it_never_saw_find_the_passage_that_answers_them(client: AsyncClient) -> None:
    held_out = json.loads((BERT / "reranker" / "held_out.json").read_text())[:20]
    found = [await client.rerank(each["question"], each["passages"], top=1) for each in held_out]
    assert sum(ranked.results[0].index == 0 for ranked in found) >= 18
    assert {ranked.by for ranked in found} == {"reranker"}


async def test_the_verdict_prices_a_language_model_beside_the_encoder(client: AsyncClient) -> None:
    ranked = await client.rerank("where can i park in oslo", OFFICES)
    assert (ranked.verdict.value, ranked.verdict.instead) == ("no_language_model", "encoder")
    assert ranked.expected.known
    beside = ranked.verdict.language_model
    assert beside is not None
    assert beside.cost.known
    assert beside.seconds is not None


async def test_files_are_ranked_by_their_paragraphs_and_say_where_each_is_from(
    client: AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "offices.txt").write_text("\n\n".join(OFFICES))
    ranked = await client.rerank("who manages oslo", files=[tmp_path / "offices.txt"], top=1)
    assert ranked.passages == 4
    best = ranked.results[0]
    assert (best.passage.file, best.passage.text) == ("offices.txt", OFFICES[2])


async def test_documents_are_ranked_by_their_pages(client: AsyncClient, media: Path) -> None:
    ranked = await client.rerank("how many containers", files=[media / "report.pdf"], model="multilingual-e5-small")
    assert ranked.by == "vectors"
    assert ranked.verdict.instead == "embedding model"
    assert sorted(each.passage.page for each in ranked.results) == [1, 2, 3]


async def test_what_reranking_took_is_kept_and_the_next_is_expected_by_it(client: AsyncClient) -> None:
    first = await client.rerank("where can i park in oslo", OFFICES)
    assert "size of its files" in first.expected.basis
    for _ in range(11):
        await client.rerank("where can i park in oslo", [*OFFICES, *OFFICES])
    attempts = [row for row in client.store.attempts() if row.reservation.task == "text-ranking"]
    assert len(attempts) == 12
    assert all(row.outcome is not None and row.outcome.usage.input_tokens for row in attempts)
    after = await client.rerank("where can i park in oslo", [*OFFICES, *OFFICES])
    assert "runs" in after.expected.basis
    known = client.store.statistics()
    tokens, factor = attempts[-1].outcome.usage.input_tokens, known.get(TINY, "reading_factor")  # type: ignore[union-attr]
    assert factor is not None
    assert factor.mid == pytest.approx(tokens / (attempts[-1].reservation.work.letters / 4), rel=0.3)


async def test_of_many_passages_those_that_share_rare_words_are_read_and_the_rest_is_counted(
    client: AsyncClient,
) -> None:
    filler = [f"the gent office opened in {number}" for number in range(10, 90)]
    ranked = await client.rerank("where can i park in oslo", [*filler, *OFFICES], top=1)
    assert (ranked.passages, ranked.read) == (84, 64)
    assert ranked.results[0].index == 81


async def test_the_time_that_is_expected_is_that_of_the_passages_that_are_read(client: AsyncClient) -> None:
    question = "where can i park in oslo"
    short = [f"oslo has {number} parking spaces" for number in range(10, 74)]
    await client.rerank(question, short)  # so that the model is in memory
    alone = await client.rerank(question, short)
    beside = await client.rerank(question, ["the gent office opened in 8 " * 40] * 64 + short)
    assert beside.read == alone.read == 64
    assert alone.expected.known
    assert beside.expected == alone.expected


async def test_a_passage_that_is_longer_than_the_model_reads_counts_by_its_best_part(client: AsyncClient) -> None:
    filler = ["the gent office opened in 8"] * 9 + ["the gent office opened"]  # 58 tokens: as many as a window holds
    long = " ".join([*filler, OFFICES[2]])
    ranked = await client.rerank("who manages oslo", [OFFICES[1], long, OFFICES[2]])
    scores = {each.index: each.score for each in ranked.results}
    assert scores[1] >= scores[2] - 1e-5 > 0.9
    assert ranked.cut == 0


async def test_a_query_that_is_too_long_is_said_to_be_cut(client: AsyncClient) -> None:
    ranked = await client.rerank("who manages oslo " * 30, OFFICES)
    assert ranked.query_cut


async def test_what_cannot_be_ranked_is_refused(client: AsyncClient) -> None:
    with pytest.raises(InputEmpty, match="there is no text to rank"):
        await client.rerank("rent", ["", "  "])
    with pytest.raises(InputEmpty, match="there is no text to rank"):
        await client.rerank("rent")
    with pytest.raises(UsageError, match="there is nothing to look for"):
        await client.rerank(" ", OFFICES)
    with pytest.raises(UsageError, match="ranks no passages"):
        await client.rerank("rent", OFFICES, model="smollm2-135m-instruct")


def test_a_reranker_that_is_asked_for_something_else_says_what_it_is_for() -> None:
    ran = intermodal("ask", "--labels", "a,b", "--model", "tiny-offices", "who manages oslo")
    assert ran.code == 4
    assert "it ranks passages, for intermodal rerank" in ran.err


def test_lines_of_the_standard_input_are_ranked_and_nothing_else_is_on_stdout() -> None:
    ran = intermodal("rerank", "where can i park in oslo", "-", stdin="\n".join(OFFICES).encode())
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].endswith(OFFICES[1])
    assert "an encoder is enough, no language model is needed" in ran.err
    assert "no probability" in ran.err


def test_files_without_text_are_named_and_one_that_is_not_there_is_refused(media: Path, tmp_path: Path) -> None:
    (tmp_path / "offices.txt").write_text("\n\n".join(OFFICES))
    ran = intermodal("rerank", "--json", "who manages oslo", str(tmp_path / "offices.txt"), str(media / "scanned.pdf"))
    assert ran.code == 0, ran.err
    assert ran.document["without_text"] == ["scanned.pdf"]
    ran = intermodal("rerank", "who manages oslo", str(tmp_path / "nowhere.txt"))
    assert ran.code == 3
    assert "there is no such file" in ran.err
