"""The picture of a plan: complete, in its frame, nothing over anything else, and safe whatever files are called."""

from __future__ import annotations

import itertools
import re
import time
import xml.etree.ElementTree as ET

import msgspec
import pytest
from tests.unit.plans import example_plans

from intermodal.plans import plan_svg, svg
from intermodal.plans.explain import explain
from intermodal.plans.plan import Plan
from intermodal.plans.plan_graph import graph
from intermodal.plans.plan_svg import Card, layout
from intermodal.plans.step import Call, Check

SVG = "{http://www.w3.org/2000/svg}"


def drawn(plan: Plan) -> ET.Element:
    return ET.fromstring(plan.svg())


def words(root: ET.Element) -> str:
    return "\n".join(each.text or "" for each in root.iter(f"{SVG}text"))


def cards(root: ET.Element) -> list[ET.Element]:
    return [group for group in root.iter(f"{SVG}g") if "node" in group.get("class", "").split()]


@pytest.mark.slow
def test_every_case_is_drawn_with_all_its_steps_and_says_what_explain_says() -> None:
    for name in example_plans.names():
        plan = example_plans.of_case(name)
        root = drawn(plan)
        steps = [step for step in plan.chosen.steps if not isinstance(step, Check)]
        parts = {path[0] for path in graph(plan.chosen).paths}
        if len(steps) <= 6:
            assert len(cards(root)) == len(steps) + len(parts) + 1, name
        desc = root.find(f"{SVG}desc")
        assert desc is not None and desc.text == explain(plan), name


@pytest.mark.slow
def test_nothing_stands_over_anything_else_or_outside_its_box() -> None:
    for plan in [
        *map(example_plans.of_case, example_plans.names()),
        example_plans.film(),
        example_plans.many(1),
        example_plans.many(6),
        example_plans.many(40),
    ]:
        at = layout(graph(plan.chosen), {})
        boxes = {box.host: box for box in at.boxes}
        placed = [area(card) for card in at.cards]
        for (left, top, right, bottom), (x, y, to_x, to_y) in itertools.combinations(placed, 2):
            assert right <= x or to_x <= left or bottom <= y or to_y <= top, plan.headline
        for card, (left, top, right, bottom) in zip(at.cards, placed, strict=True):
            box = boxes[card.node.host]
            assert box.left <= left and right <= box.left + box.wide, plan.headline
            assert box.top <= top and bottom <= box.top + box.high, plan.headline
        for one, other in itertools.pairwise(at.boxes):
            assert one.top + one.high < other.top


def area(card: Card) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a card with its checks."""
    bottom = max([card.top + card.high, *(at[1] + at[3] for _, _, at in card.checks)])
    return card.left, card.top, card.left + card.wide, bottom


def test_edges_do_not_run_through_cards() -> None:
    for plan in [*map(example_plans.of_case, example_plans.names()), example_plans.film(), example_plans.many(40)]:
        at = layout(graph(plan.chosen), {})
        for way in at.ways:
            for (x, y), (to_x, to_y) in itertools.pairwise(way.corners):
                assert x == pytest.approx(to_x) or y == pytest.approx(to_y), "level or upright"
                for card in at.cards:
                    inside_x = min(x, to_x) < card.left + card.wide - 1 and max(x, to_x) > card.left + 1
                    inside_y = min(y, to_y) < card.top + card.high - 1 and max(y, to_y) > card.top + 1
                    assert not (inside_x and inside_y), f"{way.start} -> {way.end} through {card.node.key}"


def test_what_leaves_the_machine_crosses_its_border() -> None:
    plan = example_plans.film()
    at = layout(graph(plan.chosen), {})
    away = {(way.start, way.end) for way in at.ways if way.leaves_machine}
    assert away == {("d1", "t1"), ("f1", "s1"), ("t1", "g1"), ("s1", "g1")}
    border = at.boxes[0].high
    assert all(way.crossings and way.crossings[0][1] == border for way in at.ways if way.leaves_machine)
    assert not any(way.crossings for way in at.ways if not way.leaves_machine)
    text = words(drawn(plan))
    assert "this machine" in text and "elsewhere: api.acme.test" in text and "nothing leaves" not in text
    assert "62 s audio (from" in text and "12 images 640x360 (from" in text
    home = words(drawn(example_plans.of_case("call_and_invoice")))
    assert "nothing leaves it" in home and "elsewhere" not in home


def test_an_answer_that_is_spoken_still_begins_with_what_was_asked() -> None:
    plan = example_plans.film()
    steps = plan.chosen.steps
    voice = Call(
        id="v1", op="speak", task="text-to-speech", endpoint="acme:acme/voice", inputs=("step:g1",), title="speech",
        estimate=example_plans.seconds(1, 2, 3),
    )  # fmt: skip
    spoken = msgspec.structs.replace(plan.chosen, steps=(*steps, voice), endpoint=voice.endpoint)
    found = graph(spoken)
    assert ("prompt", "g1", "v1", "answer") in found.paths
    assert {node.key: node.title for node in found.nodes}["prompt"] == "prompt"
    assert {node.key: node.shape for node in found.nodes}["v1"] == "last"


def test_a_hosted_answer_stands_outside_and_its_answer_comes_back() -> None:
    plan = example_plans.of_case("recordings_and_pictures")
    at = layout(graph(plan.chosen), {})
    last = plan.chosen.steps[-1].id
    assert (last, "answer") in {(way.start, way.end) for way in at.ways if way.leaves_machine}
    assert [box.host for box in at.boxes] == ["", "api.acme.test"]


def test_forty_files_on_the_same_route_are_summed_with_their_numbers() -> None:
    root = drawn(example_plans.many(40))
    text = words(root)
    assert len(cards(root)) == 3 * 2 + 2, "two files and the rest, each with a step; who answers; the answer"
    assert "38 more like these" in text and "Read ×38" in text
    assert "→ 380 tok (95..1,140)" in text and "11 s (3.8..34)" in text
    assert "p2.png … p39.png" in text
    assert len(cards(drawn(example_plans.many(6)))) == 6 * 2 + 2, "so few are each shown"


def test_checks_are_dashed_boxes_with_their_condition() -> None:
    root = drawn(example_plans.film())
    found = [group for group in root.iter(f"{SVG}g") if group.get("class") == "check"]
    assert len(found) == 3, "that of the size looks at everything, and stands in the list"
    assert all(any(rect.get("stroke-dasharray") for rect in group.iter(f"{SVG}rect")) for group in found)
    text = words(root)
    assert "check reading of 2 files" in text and "up to $0.003, 5.0 s more" in text
    assert "size: the plan is made again" in text


def test_the_list_below_has_totals_notes_other_routes_and_the_main_reasons() -> None:
    text = words(drawn(example_plans.film()))
    for said in ("$0.0058, 13 s (4.0..140)", "loses motion", "desk:llava/llava-7b", "$1 > $0", "a:b/c · reason 0"):
        assert said in text, said
    assert "reason 5" not in text and "4 more (intermodal explain says them all)" in text


def test_names_of_files_are_text_whatever_they_hold() -> None:
    source = example_plans.film().svg()
    root = ET.fromstring(source)
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        "svg", "title", "desc", "style", "rect", "path", "circle", "text", "g",
    }  # fmt: skip
    assert not any(name.lower().startswith("on") or "href" in name for each in root.iter() for name in each.attrib)
    assert "<b" not in source and "\u202e" not in source and "\x07" not in source
    assert "talk &lt;b onload=" in source
    for text in ("\ud800name", "]]>", "</title><script>", "&#0;", "\x00", "a\tb\nc"):
        renamed = msgspec.structs.replace(example_plans.film(), headline=text, notes=(text,))
        ET.fromstring(renamed.svg().encode("utf-8"))


def test_nothing_outside_the_picture_is_referred_to() -> None:
    source = example_plans.film().svg()
    assert (
        "url(" not in source
        and "@import" not in source
        and "http" not in source.replace('xmlns="http://www.w3.org/2000/svg"', "")
    ), "no resource is fetched to show it"


def test_long_names_are_shortened_and_whole_in_their_tooltip() -> None:
    root = drawn(example_plans.film())
    text = words(root)
    assert example_plans.LONG not in text and re.search(r"a-very-.*….*\.png", text)
    hints = [title.text or "" for group in cards(root) for title in group.findall(f"{SVG}title")]
    assert any(example_plans.LONG in hint for hint in hints)


@pytest.mark.slow
def test_a_name_as_long_as_names_can_be_takes_no_time() -> None:
    """Shortening looks at what may fit, not at every length from the whole down."""
    before = time.process_time()
    for letter in ("W", "i", "\u0301", "会"):
        renamed = msgspec.structs.replace(
            example_plans.film(), headline=letter * 100_000, notes=(f"{letter} " * 20_000,)
        )
        ET.fromstring(renamed.svg())
    assert time.process_time() - before < 5.0


def test_text_stays_inside_its_card() -> None:
    for plan in (example_plans.film(), example_plans.many(40), example_plans.of_case("call_and_invoice")):
        for card in layout(graph(plan.chosen), {}).cards:
            for line in card.words.lines:
                assert svg.width(line.text, 11) <= card.wide - 20 + 0.1, line.text


def test_the_same_plan_gives_the_same_bytes_and_every_id_once() -> None:
    plan = example_plans.film()
    again = msgspec.json.decode(msgspec.json.encode(plan), type=Plan)
    assert plan.svg() == again.svg()
    source = plan.svg()
    ids = re.findall(r'\bid="([^"]+)"', source)
    assert len(ids) == len(set(ids)) == 2
    assert re.search(rf'aria-labelledby="{ids[0]} {ids[1]}"', source) and 'role="img"' in source


def test_pictures_on_one_page_do_not_touch_each_other() -> None:
    """Ids differ, and every rule of style is scoped to its image."""
    one, other = example_plans.film().svg(), example_plans.many(3).svg()
    assert not set(re.findall(r'\bid="([^"]+)"', one)) & set(re.findall(r'\bid="([^"]+)"', other))
    assert not set(re.findall(r'\bid="([^"]+)"', one)) & set(
        re.findall(r'\bid="([^"]+)"', example_plans.film().svg("second"))
    )
    style = one.partition("<style>")[2].partition("</style>")[0]
    selectors = re.findall(r"([^{}]+)\{", style.replace("@media (prefers-color-scheme:dark){", ""))
    assert selectors and all(selector.strip().startswith(".im-plan-abc123abc123 ") for selector in selectors)


def test_dark_screens_get_a_second_set_of_colours() -> None:
    style = example_plans.film().svg().partition("<style>")[2].partition("</style>")[0]
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    painted = set(re.findall(r"(\.[\w-]+)\{(?:fill|stroke):#", light))
    assert painted and painted == set(re.findall(r"(\.[\w-]+)\{(?:fill|stroke):#", dark))
    used = {name for names in re.findall(r'class="([^"]+)"', example_plans.film().svg()) for name in names.split()}
    assert {"ink", "page", "here-box", "away-line"} <= used


def test_a_notebook_shows_the_picture_and_the_text() -> None:
    html = example_plans.film()._repr_html_()
    assert html.startswith("<svg ") and "<pre>" in html
    assert "talk &lt;b onload=" in html and "<b onload" not in html


def test_a_picture_of_forty_files_stays_small() -> None:
    """It is kept with every plan that a notebook shows."""
    assert len(plan_svg.plan_svg(example_plans.many(40))) < 40_000
