"""A text file counts with its label and shows in the tree, whether its kind was declared or found in its bytes."""

from __future__ import annotations

import msgspec
import pytest
from tests.plans import runner

from intermodal.core.content import BytesSource, File, Part, Text
from intermodal.planner import plan
from intermodal.plans.explain import explain
from intermodal.plans.plan import Inputs, Plan


def _planned(part: Part) -> Plan:
    inputs: Inputs = runner.inputs_of(
        {
            "catalog": "acme",
            "consent": ["acme"],
            "ask": "Sum it up.",
            "part": [{"kind": "text", "name": "a.txt", "words": 9}],
        }
    )
    message = inputs.request.messages[-1]
    parts = tuple(part if isinstance(each, Text) and each.name else each for each in message.parts)
    request = msgspec.structs.replace(inputs.request, messages=(msgspec.structs.replace(message, parts=parts),))
    return plan(request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)


FILES = {
    "declared": Text(text="word", name="a.txt"),
    "found": File(source=BytesSource(data=b"word", name="a.txt")),
}


@pytest.mark.parametrize("part", FILES.values(), ids=FILES)
def test_a_text_file_is_in_the_tree_and_its_label_in_the_estimate(part: Part) -> None:
    made = _planned(part)
    assert "└─ As it is  a.txt " in explain(made)
    bare = _planned(Text(text="word"))
    with_label = made.chosen.steps[-1].estimate.input_tokens.mid
    assert with_label > bare.chosen.steps[-1].estimate.input_tokens.mid
    assert "As it is" not in explain(bare), "what the sender says is no file"
