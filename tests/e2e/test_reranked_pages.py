"""Pages of a long document chosen by a real encoder that reads them beside the question, where not all of them fit."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from tests.e2e.onnx_folders import BERT

from intermodal.catalog.types import Endpoint
from intermodal.client.async_client import AsyncClient
from intermodal.client.request_builder import make_request
from intermodal.local.embedded.results import EncoderResult
from intermodal.local.embedded.runtimes import EmbeddedRuntimes
from intermodal.plans.plan import Plan
from intermodal.plans.step import Transform
from intermodal.testing import FakeHost

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(300)]
PARKING = 39  # the page that says where to park, without a word of the question but the place
DESK = """
[hosts.desk]
base_url = "http://127.0.0.1:9/v1"

[[hosts.desk.models]]
id = "desk/reader"
tasks = ["text-generation"]
tier = "medium"
context = 900
"""
RERANKER = f"""
[hosts.mine]
protocol = "encoder"

[[hosts.mine.models]]
id = "test/tiny-offices"
weights = "{BERT / "reranker"}"
"""


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pages about offices, ten of them about Oslo, of which one says where to park."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(out := BytesIO(), pagesize=A4, invariant=1)
    for number in range(1, 41):
        place = "oslo" if number % 4 == 3 else "gent"
        line = f"the rent of the {place} office is {number} euro"
        if number == PARKING:
            line = f"cars are left behind the {place} building , level 4"
        canvas.drawString(60, 780, line)
        canvas.showPage()
    canvas.save()
    path = tmp_path_factory.mktemp("offices") / "offices.pdf"
    path.write_bytes(out.getvalue())
    return path


async def planned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    pdf: Path,
    question: str,
    deadline: float | None = None,
) -> Plan:
    path = tmp_path / "intermodal.toml"
    path.write_text(config)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    async with AsyncClient() as client:
        return await client.plan(question, pdf, model="desk/reader", max_tokens=200, deadline=deadline)


def pages_of(plan: Plan) -> set[int]:
    """Pages whose text goes in."""
    found: set[int] = set()
    for step in plan.chosen.steps:
        if isinstance(step, Transform) and step.op == "extract":
            for span in dict(step.params)["pages"].split(","):
                first, _, last = span.partition("-")
                found |= set(range(int(first), int(last or first) + 1))
    return found


async def test_a_page_that_shares_no_word_but_the_place_is_kept_where_an_encoder_reads_the_pages(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "where can i park in oslo"
    without = await planned(tmp_path, monkeypatch, DESK, offices, question)
    assert 0 < len(pages_of(without)) < 40
    assert PARKING not in pages_of(without)
    plan = await planned(tmp_path, monkeypatch, DESK + RERANKER, offices, question)
    assert PARKING in pages_of(plan)
    said = [note for note in plan.notes if "pages were chosen by mine:test/tiny-offices" in note]
    assert len(said) == 1
    assert "read all 40 beside the question" in said[0]
    assert re.search(r"\(\$0, about [0-9.]+ s\)", said[0])


async def test_pages_that_all_fit_are_read_by_no_encoder(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = DESK.replace("context = 900", "context = 32_000")
    plan = await planned(tmp_path, monkeypatch, roomy + RERANKER, offices, "where can i park in oslo")
    assert not any("chosen by" in note for note in plan.notes)


async def test_who_has_to_be_answered_in_time_waits_for_no_reading_that_would_take_a_quarter_of_it(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = RERANKER + "[hosts.mine.models.speed]\nprompt = [3.0, 6.0, 12.0]\n"
    question = "where can i park in oslo"
    plan = await planned(tmp_path, monkeypatch, DESK + slow, offices, question, deadline=100_000)
    assert any("read 10 of 40 beside the question" in note for note in plan.notes), "as many as 30 seconds do for"
    plan = await planned(tmp_path, monkeypatch, DESK + slow, offices, question, deadline=60)
    assert not any("chosen by" in note for note in plan.notes)


async def test_a_page_that_the_question_names_comes_before_what_the_encoder_says(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await planned(tmp_path, monkeypatch, DESK + RERANKER, offices, "where can i park in oslo , see page 6")
    assert 6 in pages_of(plan)
    assert any("pages were chosen by" in note for note in plan.notes)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that an encoder reads."""
    found: list[str] = []
    rank = EmbeddedRuntimes.rank

    async def counted(self: EmbeddedRuntimes, endpoint: Endpoint, query: str, texts: tuple[str, ...]) -> EncoderResult:
        found.extend(texts)
        return await rank(self, endpoint, query, texts)

    monkeypatch.setattr(EmbeddedRuntimes, "rank", counted)
    return found


async def test_a_plan_that_was_made_is_run_without_reading_its_pages_anew(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    with FakeHost(answer="Behind the building.") as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(DESK.replace("http://127.0.0.1:9/v1", host.base_url) + RERANKER)
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        async with AsyncClient() as client:
            request = make_request("where can i park in oslo", offices, model="desk/reader", max_tokens=200)
            plan = await client.plan(request)
            assert PARKING in pages_of(plan)
            assert len(read) == 40
            assert (await client.run(request, plan)).text == "Behind the building."
        (attempt,) = host.attempts
        assert "cars are left behind the oslo building" in str(attempt)
    assert len(read) == 40


async def test_who_asks_for_the_ranking_itself_has_each_page_read_once(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    path = tmp_path / "intermodal.toml"
    path.write_text(DESK + RERANKER)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    async with AsyncClient() as client:
        ranked = await client.rerank("where can i park in oslo", files=[offices], top=1)
    assert ranked.results[0].passage.page == PARKING
    beside = ranked.verdict.language_model
    assert beside is not None
    assert beside.endpoint == "desk:desk/reader"
    assert len(read) == ranked.read == 40


async def test_a_broken_encoder_leaves_the_choice_to_words(
    offices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((BERT / "reranker" / "config.json").read_text())
    row = RERANKER.replace(str(BERT / "reranker"), str(broken))
    question = "where can i park in oslo"
    plan = await planned(tmp_path, monkeypatch, DESK + row, offices, question)
    assert pages_of(plan) == pages_of(await planned(tmp_path, monkeypatch, DESK, offices, question))
