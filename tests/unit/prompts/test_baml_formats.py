"""The words of ``ctx.output_format``: their length is known before the runtime writes them, and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from intermodal.core.content import Text
from intermodal.errors import PromptError
from intermodal.prompts import formats
from intermodal.prompts.baml.declarations import read_declarations
from intermodal.prompts.baml.template_limits import FormatSize
from intermodal.prompts.prompt_file import PromptFile

pytest.importorskip("baml_py")
FUNCTION = 'function F() -> %s {\n  client "openai/gpt-4o"\n  prompt #"\n    %s\n  "#\n}\n'


def nested(levels: int, fields: int) -> str:
    """Classes of which each holds the next several times."""
    made = [
        f"class C{level} {{\n" + "".join(f"  f{number} C{level + 1}\n" for number in range(fields)) + "}\n"
        for level in range(levels)
    ]
    return "".join((*made, f"class C{levels} {{\n  x string\n}}\n"))


def one_another(count: int) -> str:
    """Classes that all hold all the others."""
    fields = "".join(f"  f{number} C{number}?\n" for number in range(count))
    return "".join(f"class C{number} {{\n{fields}}}\n" for number in range(count))


MIXED = """
class C0 { kids C0[] v string @description("the value") a A b B }
class A { x int | string  e E  n (A2 | B)? @alias("nn") m map<string, A2> }
class A2 { l A3[] }
class A3 { z string }
class B { r C0? }
enum E { ONE @description("first") TWO }
"""
FLAT = "class C0 {\n" + "".join(f'  name_{number} string? @description(#"what {number} is"#)\n' for number in range(99))


def read(tmp_path: Path, classes: str, returns: str = "C0", prompt: str = "{{ ctx.output_format }}") -> PromptFile:
    path = tmp_path / "case.baml"
    path.write_text(classes + FUNCTION % (returns, prompt))
    return formats.load(path)


@pytest.mark.parametrize(
    "classes",
    [
        nested(3, 2),
        nested(8, 3),
        nested(40, 1),
        one_another(12),
        MIXED,
        FLAT + "}\n",
    ],
    ids=["3x2", "8x3", "40x1", "one another", "mixed", "flat"],
)
def test_a_format_is_about_as_long_as_was_counted(tmp_path: Path, classes: str) -> None:
    (message,) = read(tmp_path, classes).template.messages({})
    written = sum(len(part.text) for part in message.parts if isinstance(part, Text))
    blocks = {each.name: each for each in read_declarations("case.baml", classes + FUNCTION % ("C0", "x"))}
    counted = FormatSize(blocks).letters(blocks["F"].type)
    assert 0.9 * written - 50 < counted < 1.5 * written + 400, (written, counted)


@pytest.mark.slow
@pytest.mark.parametrize(("levels", "fields"), [(13, 3), (30, 2), (400, 2)])
def test_classes_that_double_with_each_level_are_refused_before_they_are_written(
    tmp_path: Path, levels: int, fields: int
) -> None:
    with pytest.raises(
        PromptError, match="would be more than 32 MiB, as a class is written for each field; nest fewer"
    ) as caught:
        read(tmp_path, nested(levels, fields))
    line = nested(levels, fields).count("\n") + 3
    assert caught.value.where == f"{tmp_path / 'case.baml'}:{line}"


def test_a_format_within_a_template_string_is_counted_too(tmp_path: Path) -> None:
    classes = nested(13, 3) + 'template_string T() #"{{ ctx.output_format }}"#\n'
    with pytest.raises(PromptError, match="ctx.output_format would be more"):
        read(tmp_path, classes, prompt="{{ T() }}")


def test_a_format_that_is_written_again_and_again_is_counted_as_often(tmp_path: Path) -> None:
    file = read(tmp_path, nested(9, 3), prompt="{{ ctx.output_format }} " * 30)
    with pytest.raises(PromptError, match="may make more than 32 MiB of text"):
        file.template.messages({})


def test_classes_that_no_prompt_writes_out_may_nest_as_they_like(tmp_path: Path) -> None:
    assert read(tmp_path, nested(30, 3), prompt="name a number").name == "F"
    other = one_another(3).replace("C", "D") + nested(30, 3) + "class E0 { e E0? c C0 }\n"
    assert read(tmp_path, other, returns="D0").name == "F"
