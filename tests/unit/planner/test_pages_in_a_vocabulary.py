"""Text of pages is estimated by the vocabulary of the model that is named, where one is, and what lies over it too."""

from __future__ import annotations

from msgspec.structs import replace
from tests.plans import catalogs

from intermodal.catalog.types import Catalog
from intermodal.core.content import BytesSource, Document, Scripts, Text
from intermodal.core.request import Message, Policy, Request
from intermodal.cost_model.tokens import text_tokens
from intermodal.planner import plan
from intermodal.plans.facts import Facts, PageFacts, PartFacts
from intermodal.plans.statistics import Statistics

SCRIPTS = (("chinese", 900), ("english", 200))


def estimated(model: str = "", *, chars: int = 1100, over: int = 0, scripts: Scripts = SCRIPTS) -> float:
    """Tokens that go in with three such pages, to the model that is named."""
    pages = tuple(
        PageFacts(number=number, width=595, height=842, chars=chars, over=over, scripts=scripts)
        for number in range(1, 4)
    )
    report = PartFacts(index=1, name="report.pdf", kind="document", pages=pages)
    facts = Facts(parts=(PartFacts(index=0, name="prompt", kind="text", chars=20, size=20), report))
    said = (Text(text="What was the revenue?"), Document(source=BytesSource(data=b"%PDF")))
    endpoint = next(each for each in catalogs.acme() if each.id == "acme:acme/sonata")
    endpoint = replace(endpoint, model=replace(endpoint.model, vocabulary="deepseek3"))
    made = Catalog(endpoints=(endpoint,), consent=("acme",))
    request = Request(messages=(Message(role="user", parts=said),), policy=Policy(model=model, max_cost=1.0))
    found = plan(request, facts, made, catalogs.LAPTOP, Statistics(), "2026-11-24").chosen
    return found.answering.estimate.input_tokens.mid


def test_pages_are_estimated_by_the_factors_of_the_named_model() -> None:
    own, any_vocabulary = text_tokens(1100, 0, SCRIPTS, "deepseek3").mid, text_tokens(1100, 0, SCRIPTS).mid
    assert own != any_vocabulary
    assert estimated() - estimated("acme/sonata") == 3 * (any_vocabulary - own)


def test_values_of_a_form_go_in_as_the_text_of_their_page_does() -> None:
    assert estimated(chars=600, over=500, scripts=()) == estimated(chars=1100, scripts=())
