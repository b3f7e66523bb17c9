"""A hint is one sentence that each surface says in its own words, wherever it was put into another one."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import intermodal
from intermodal.cli.main import app
from intermodal.core.hints import (
    Hint,
    Surface,
    action,
    choose_from,
    command,
    consent_to,
    hint,
    join_sentences,
    pack_text,
    release,
    setting,
    spell,
    spell_text,
    unpack_text,
)

WORDED: list[tuple[Hint, str, str, str]] = [
    (setting("max-cost"), "--max-cost", "max_cost", "x-intermodal-max-cost, or max_cost in the server's config"),
    (setting("gpu", "RTX 4090"), '--gpu "RTX 4090"', 'gpu="RTX 4090"', "gpu: RTX 4090"),
    (setting("context", "4096"), "--context 4096", "context=4096", "context: 4096"),
    (setting("hardware-price", "USD"), "--hardware-price USD", "hardware_price=USD", "hardware_price: USD"),
    (setting("local"), "--local", 'farthest="machine"', "x-intermodal-farthest: machine"),
    (hint("if so: {language=}", "fr"), "if so: --language fr", 'if so: language="fr"',
     "if so: x-intermodal-language: fr"),
    (consent_to("openai"), "--host openai for this once, or intermodal hosts add openai",
     'hosts=("openai",) for this once, or intermodal hosts add openai',
     "the owner of the server can provide it (intermodal hosts add openai)"),
    (consent_to("a", "b"), "--host a or --host b for this once, or intermodal hosts add NAME",
     'hosts=("a",) or hosts=("b",) for this once, or intermodal hosts add NAME',
     "a or b, which the owner of the server can do: intermodal hosts add NAME"),
    (command("intermodal pull a --accept-unpinned"), "intermodal pull a --accept-unpinned",
     "intermodal pull a --accept-unpinned", "intermodal pull a"),
    (release("image:text"), "release it with --release image:text", 'release it with release="image:text"',
     'release = ["image:text"] in a policy in the server\'s config releases it'),
]  # fmt: skip


@pytest.mark.parametrize(("said", "typed", "python", "http"), WORDED, ids=[str(row[0]) for row in WORDED])
def test_each_surface_has_its_words(said: Hint, typed: str, python: str, http: str) -> None:
    assert (said.spell_for("command line"), said.spell_for("python"), said.spell_for("http")) == (typed, python, http)
    assert said == typed


def test_names_among_which_to_choose_are_given_where_aliases_are_set() -> None:
    assert choose_from("a/b, a/c").spell_for("python") == "say which: a/b, a/c"
    assert "[serve.aliases]" in choose_from("a/b, a/c").spell_for("http")


def test_a_template_with_more_values_than_places_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no place"):
        hint("raise {max-cost}", "much")


PLAIN = st.text(max_size=20)
SIMPLE = st.one_of(
    PLAIN,
    st.sampled_from([row[0] for row in WORDED]),
    st.builds(lambda value: hint("lower {at-least=}", value), st.text("abc", min_size=1, max_size=5)),
    st.builds(lambda one, two: action(one, http=two), PLAIN, PLAIN),
)
SENTENCES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.builds(lambda one, two: hint("{}; {} ({max-cost})", one, two), inner, inner),
        st.builds(lambda several: join_sentences(" or ", several), st.lists(inner, max_size=3)),
    ),
    max_leaves=6,
)
SURFACES: tuple[Surface, ...] = ("command line", "python", "http")


@pytest.mark.slow
@given(SENTENCES, SENTENCES)
def test_a_sentence_within_another_is_worded_as_it_is_alone(one: str, two: str) -> None:
    whole = hint("{}: {}", one, two)
    for surface in SURFACES:
        assert whole.spell_for(surface) == f"{spell_text(one, surface)}: {spell_text(two, surface)}"
        assert type(whole.spell_for(surface)) is str


@pytest.mark.slow
@given(SENTENCES)
def test_a_sentence_crosses_to_another_process_as_it_is(said: str) -> None:
    for back in (
        unpack_text(msgspec.msgpack.decode(msgspec.msgpack.encode(pack_text(said)))),
        pickle.loads(pickle.dumps(said)),
    ):
        assert [spell_text(back, surface) for surface in SURFACES] == [
            spell_text(said, surface) for surface in SURFACES
        ]


class _Held(msgspec.Struct, frozen=True):
    said: str
    more: tuple[str, ...] = ()
    by_name: dict[str, str] = {}


@pytest.mark.parametrize(("surface", "expected"), [("python", "raise max_cost"), ("command line", "raise --max-cost")])
def test_every_text_that_a_value_holds_is_spelled_for_a_surface(surface: Surface, expected: str) -> None:
    raised = hint("raise {max-cost}")
    held = spell([_Held(raised, ("plain", raised), {"todo": raised})], surface)
    assert held == [_Held(expected, ("plain", expected), {"todo": expected})]
    assert type(held[0].said) is type(held[0].more[1]) is str
    plain = _Held("plain")
    assert spell(plain, surface) is plain


# Modules whose texts only the command line shows: the server's owner reads ``serve --check``, charts are its files.
_OF_THE_COMMAND_LINE = (
    "charts/",
    "cli/",
    "testing/",
    "core/hints.py",
    "gateway/config_check.py",
    "gateway/workers/worker.py",
)
_OF_OTHERS = re.compile(r"\b(vllm|llama-\w+|pip|rapidocr|ollama)\b")


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        yield from (each for each in parameter.opts if each.startswith("--"))
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            if found is not None:
                yield from _options(found)


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Texts of a module that is not its documentation, f-strings as one text."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):  # the first argument of ``action`` is the command line's
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "action" and node.args:
            inner.add(id(node.args[0]))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr) and id(node) not in inner:
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values),
            )


def test_texts_for_python_and_http_name_no_option_unless_in_a_whole_command() -> None:
    """``{max-cost}`` is a setting, which each surface spells. ``--max-cost`` in a text stays what it is."""
    options = {*_options(app)}
    assert {"--max-cost", "--measure", "--hardware-price"} <= options
    root, found = Path(intermodal.__file__).parent, []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).as_posix()
        if place.startswith(_OF_THE_COMMAND_LINE):
            continue
        for line, text in _texts(ast.parse(path.read_text())):
            for option in re.finditer(r"(?<![\w-])--[a-z][a-z-]*", text):
                before = text[: option.start()]
                whole = "intermodal " in before or "pull " in before or _OF_OTHERS.search(before)
                if " " in text.strip() and option[0] in options and not whole:
                    found.append(f"{place}:{line}: {text}")
    assert found == []
