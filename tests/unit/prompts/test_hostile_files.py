"""Files that are made to take long are read or refused by every format, as quickly as others of their size."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from intermodal.errors import IntermodalError
from intermodal.prompts import argument_values, formats, sample_arguments

pytestmark = pytest.mark.slow

SIZE, YAML = 250 << 10, 30 << 10  # bytes; PyYAML takes a second for 100 KiB of anything
UNITS = (
    "{{", "{{!--", "{{{", "{{#if a}}", "{{> a}}", "{{a}}", "<!--", "<a", '<a x="', "<a ", "![", "![a](", " ", "\n#",
    "(", "((a) ", "{%", "{% if a %}", "{{ a.", "{{a|", "[a](", "- a: ", "&a ", "\\{{", "<p>", "{{'", "a:\n",
)  # fmt: skip
NAMES = ("a.prompt", "a.prompt.yml", "a.prompty", "a.poml")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_one_thing_again_and_again_is_done_with(tmp_path: Path, name: str) -> None:
    for unit in UNITS:
        for front in ("",) if name.endswith((".yml", ".poml")) else ("---\nname: x\n---\n",):
            size = YAML if name.endswith(".yml") else SIZE
            text = (front + unit * (size // len(unit)))[:size]
            (tmp_path / name).write_text(text)
            began = time.process_time()
            try:
                file = formats.load(tmp_path / name)
                given = sample_arguments.make_samples(file, {})
                file.template.messages(argument_values.bind_values(file, {}, missing=given.values))
            except IntermodalError:
                pass
            took = time.process_time() - began
            assert took < 60, (unit, took)  # what is quadratic here takes many minutes
