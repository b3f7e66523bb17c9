"""A hint is one sentence that each surface says in its own words, wherever it was put into another one."""

from __future__ import annotations

import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.core.hints import (
    Hint,
    Surface,
    action,
    command,
    consent_to,
    hint,
    joined_by,
    packed,
    release,
    say_which,
    setting,
    unpacked,
    words,
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
    assert (said.words("command line"), said.words("python"), said.words("http")) == (typed, python, http)
    assert said == typed


def test_names_among_which_to_choose_are_given_where_aliases_are_set() -> None:
    assert say_which("a/b, a/c").words("python") == "say which: a/b, a/c"
    assert "[serve.aliases]" in say_which("a/b, a/c").words("http")


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
        st.builds(lambda several: joined_by(" or ", several), st.lists(inner, max_size=3)),
    ),
    max_leaves=6,
)
SURFACES: tuple[Surface, ...] = ("command line", "python", "http")


@given(SENTENCES, SENTENCES)
def test_a_sentence_within_another_is_worded_as_it_is_alone(one: str, two: str) -> None:
    whole = hint("{}: {}", one, two)
    for surface in SURFACES:
        assert whole.words(surface) == f"{words(one, surface)}: {words(two, surface)}"
        assert type(whole.words(surface)) is str


@given(SENTENCES)
def test_a_sentence_crosses_to_another_process_as_it_is(said: str) -> None:
    for back in (
        unpacked(msgspec.msgpack.decode(msgspec.msgpack.encode(packed(said)))),
        pickle.loads(pickle.dumps(said)),
    ):
        assert [words(back, surface) for surface in SURFACES] == [words(said, surface) for surface in SURFACES]
