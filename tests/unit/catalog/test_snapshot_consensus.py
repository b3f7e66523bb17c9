"""What a model can is settled over the rows of all hosts: a claim that most contradict never wins, and is said."""

from __future__ import annotations

import re

from intermodal.catalog import provenance
from intermodal.catalog.load import load_snapshot
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
from intermodal.catalog.snapshot.interpretation import agreed_capabilities, drop_disputed_claims, row_over_hosts

OWN = {"acme-cloud": "acme"}
SEEING, HEARING = ("text", "image"), ("text", "image", "audio")


def rows(**inputs: tuple[str, ...]) -> list[SnapshotRow]:
    """A model of acme at hosts, by what each says goes in."""
    return [
        SnapshotRow(host=host.replace("_", "-"), name="m", id="acme/m", input=kinds, output=("text",), can=("tools",))
        for host, kinds in inputs.items()
    ]


def takes(found: list[SnapshotRow]) -> dict[str, tuple[str, ...]]:
    return {row.host: row.input for row in found}


def test_what_a_minority_claims_is_taken_off_its_rows_and_kept_as_a_doubt() -> None:
    found = drop_disputed_claims(rows(one=SEEING, two=SEEING, three=HEARING), OWN)
    assert takes(found) == {"one": SEEING, "two": SEEING, "three": SEEING}
    assert [row.doubts for row in found[:2]] == [(), ()]
    (doubt,) = found[2].doubts
    assert provenance.describe_dispute(doubt) == "1 of 3 rows claims audio input and 2 do not: plans do not rely on it"


def test_a_host_that_says_less_of_a_model_is_believed_and_takes_nothing_from_the_others() -> None:
    found = drop_disputed_claims(rows(one=SEEING, two=SEEING, three=("text",)), OWN)
    assert takes(found) == {"one": SEEING, "two": SEEING, "three": ("text",)}
    assert agreed_capabilities(found).input == SEEING
    assert row_over_hosts(found).input == SEEING


def test_the_vendor_s_no_outweighs_any_number_of_resellers() -> None:
    found = drop_disputed_claims(rows(acme_cloud=SEEING, one=HEARING, two=HEARING, three=HEARING), OWN)
    assert set(takes(found).values()) == {SEEING}
    assert found[1].doubts[0].own is False


def test_the_vendor_s_yes_holds_beside_half_of_the_others_and_not_against_most() -> None:
    assert takes(drop_disputed_claims(rows(acme_cloud=HEARING, one=SEEING), OWN))["acme-cloud"] == HEARING
    (mine, *_) = drop_disputed_claims(rows(acme_cloud=HEARING, one=SEEING, two=SEEING), OWN)
    assert mine.input == SEEING
    assert "the vendor's own among them" in provenance.describe_dispute(mine.doubts[0])


def test_a_capability_with_equal_votes_is_kept_and_marked_as_disputed() -> None:
    found = drop_disputed_claims(rows(one=SEEING, two=HEARING), OWN)
    assert takes(found)["two"] == HEARING
    assert found[1].doubts[0].accepted


def test_rows_that_say_nothing_have_no_voice() -> None:
    found = drop_disputed_claims(rows(one=(), two=(), three=HEARING), OWN)
    assert takes(found)["three"] == HEARING
    assert not any(row.doubts for row in found)


def test_documents_are_a_host_s_doing_and_nobody_s_doubt() -> None:
    found = drop_disputed_claims(rows(one=("text",), two=("text",), three=("text", "document")), OWN)
    assert takes(found)["three"] == ("text", "document")
    assert agreed_capabilities(found).input == ("text",)


def test_a_tool_that_most_rows_know_nothing_of_is_no_tool_of_a_plan() -> None:
    plain = [
        SnapshotRow(host=host, name="m", id="acme/m", input=("text",), output=("text",)) for host in ("one", "two")
    ]
    found = drop_disputed_claims([*plain, *rows(three=("text",))], OWN)
    assert found[2].can == ()
    assert found[2].doubts[0].about == "tools"


def test_no_row_of_the_shipped_snapshot_has_a_capability_that_most_rows_of_its_model_contradict() -> None:
    for model, some in Snapshot().by_model.items():
        stating = [row for row in some if row.input and row.output]
        for kind in ("image", "audio", "video"):
            count = sum(kind in row.input for row in stating)
            assert count == 0 or 2 * count >= len(stating), f"{model}: {count} of {len(stating)} rows take {kind}"


TEXT_ALONE = (
    r"gemma-?[12]-|gemma-[27]b|/llama-?(2|3|3[.-]1|3[.-]3)-(?!.*(vision|nemotron|vl))|/mistral-7b|/mixtral|mistral-nemo"
    r"|/qwen-?2[.-]5-(?!.*(vl|omni|vision))|/qwen3-\d+(\.\d)?b(?!.*(vl|omni))|deepseek-(v3|r1)|gpt-3[.-]5|o[13]-mini"
    r"|/command-r|/phi-4(?!.*multimodal)|gpt-oss"
)


def test_no_text_model_of_a_well_known_family_is_planned_to_see_or_hear() -> None:
    rows = shipped_rows().rows
    models = [interpretation.model_of(row, rows.get(row.id), load_snapshot().header) for row in load_snapshot().rows
              if re.search(TEXT_ALONE, row.id)]  # fmt: skip
    assert len(models) > 200
    assert {model.id for model in models if {"image", "audio", "video"} & {*model.input}} == set()
