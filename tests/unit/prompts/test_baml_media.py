"""Media within the values of BAML's arguments: in fields of classes, in lists, maps and unions, and optional ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from intermodal import Client
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.config import config_file
from intermodal.core.content import Audio, BytesSource, Document, File, Image, MediaPart, PathSource, Text, Video
from intermodal.errors import PromptError
from intermodal.prompts import argument_values, formats, sample_arguments
from intermodal.prompts.lint import lint
from intermodal.prompts.prompt_file import PromptFile
from intermodal.testing import FakeHost

CLAIM = """class Note {
  words string
  voice audio?
}
class Claim {
  title string
  photos image[]
  plans map<string, pdf>
  proof image | audio | string
  note Note?
  clip video?
}
function Judge(claim: Claim, more: (image | string)[], last: Note | image) -> string {
  client "openai/gpt-4o"
  prompt #"
    {{ _.role("user") }}
    {{ claim.title }}
    {% for photo in claim.photos %}[{{ photo }}]{% endfor %}
    {{ claim.plans.ground }} {{ claim.proof }} {{ claim.note.voice }} {{ claim.clip }}
    {% for each in more %}<{{ each }}>{% endfor %}
    {{ last }}
  "#
}
"""
GIVEN: dict[str, Any] = {
    "claim": {
        "title": "t", "photos": ["a.png", Path("b.png")], "plans": {"ground": "p.pdf"}, "proof": ("s.wav", b"RIFF"),
        "note": {"words": "w", "voice": "v.wav"}, "clip": "c.mp4",
    },
    "more": [Path("m.png"), "only words"],
    "last": Path("l.png"),
}  # fmt: skip


def read(tmp_path: Path, text: str = CLAIM) -> PromptFile:
    path = tmp_path / "claim.baml"
    path.write_text(text)
    (file,) = formats.prompts_of(path)
    return file


def parts(file: PromptFile, given: dict[str, Any]) -> list[Any]:
    (message,) = file.template.messages(argument_values.bind_values(file, given))
    return list(message.parts)


def name(part: MediaPart) -> str:
    assert isinstance(part.source, BytesSource | PathSource)
    return part.source.name if isinstance(part.source, BytesSource) else part.source.path


def test_media_stand_where_the_template_puts_them_each_as_the_file_declares_it(tmp_path: Path) -> None:
    made = parts(read(tmp_path), GIVEN)
    media = [(type(part), name(part)) for part in made if not isinstance(part, Text)]
    assert media == [
        (Image, "a.png"), (Image, "b.png"), (Document, "p.pdf"), (File, "s.wav"), (Audio, "v.wav"), (Video, "c.mp4"),
        (Image, "m.png"), (Image, "l.png"),
    ]  # fmt: skip
    assert "<only words>" in "".join(part.text for part in made if isinstance(part, Text))


def test_a_file_with_media_within_is_known_by_their_kinds_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    file = read(tmp_path)
    assert set(file.media) == {"image", "document", "audio", "video"}
    assert file.argument("last").words == "JSON with image and audio"  # type: ignore[union-attr]
    assert all("holds" in each.what for each in lint([Path(file.path)]).found), "of the model alone"
    Path(file.path).write_text(CLAIM.replace("openai/gpt-4o", "openai/gpt-3.5-turbo"))
    told = [str(each) for each in lint([Path(file.path)]).found]
    assert any(":14: error: openai/gpt-3.5-turbo takes text, and claim holds image" in each for each in told)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"claim": {**GIVEN["claim"], "photos": "a.png"}}, "claim.photos takes a list"),
        ({"claim": {**GIVEN["claim"], "photos": ["a.png", 3]}}, "claim.photos[1] takes image, not 3"),
        ({"claim": {**GIVEN["claim"], "title": Path("a.png")}}, "claim.title takes string, not the file a.png"),
        ({"claim": {**GIVEN["claim"], "titel": "t"}}, "claim.titel is not declared"),
        ({"claim": {key: each for key, each in GIVEN["claim"].items() if key != "plans"}}, "claim.plans is missing"),
        ({"last": {"voice": "v.wav"}}, "last.words is missing"),
        ({"more": Path("m.png")}, "more takes a list"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    file = read(tmp_path)
    with pytest.raises(PromptError) as caught:
        argument_values.bind_values(file, {**GIVEN, **change})
    assert says in caught.value.what
    assert caught.value.where == f"{file.path}:13"


def test_what_is_imagined_has_media_in_every_place(tmp_path: Path) -> None:
    file = read(tmp_path)
    made = sample_arguments.make_samples(file, {})
    assert set(made.pieces) == {
        "claim.photos[]", "claim.plans.name", "claim.proof", "claim.note.voice", "claim.clip", "more[]", "last",
    }  # fmt: skip
    assert file.template.messages(argument_values.bind_values(file, {}, missing=made.values))
    assert "claim.photos[] 1024x768" in " ".join(made.assumed)


# ---- through the client ---------------------------------------------------------------------------------

PAGE = """class Page {
  title string
  photo image
}
function Look(pages: Page[]) -> string {
  client "openai/gpt-4o"
  prompt #"
    {% for page in pages %}{{ page.title }} {{ page.photo }}{% endfor %}
    What is on these pages?
  "#
}
"""


@pytest.fixture
def host() -> Any:
    with FakeHost(answer="a cat") as made:
        row = ServedRow(id="acme/seer", served_as="seer", context=8192, input_mtok=1.0, output_mtok=2.0,
                        input=("text", "image"))  # fmt: skip
        config_file.add_host(os.environ, HostRow(id="box", base_url=made.base_url, models=(row,)))
        yield made


@pytest.mark.slow
def test_a_prompt_with_media_within_is_planned_run_and_held_against_their_kinds(
    host: FakeHost, tmp_path: Path, media: Path
) -> None:
    path = Path(read(tmp_path, PAGE).path)
    with Client() as client:
        prompt = client.prompt(path, model="acme/seer", keep=("appearance",))
        plan = prompt.plan()
        assert plan.assumed == ("pages is a value of its schema, each text a line: pages[].photo 1024x768",)
        assert plan.plan.chosen.endpoint == "box:acme/seer"
        answer = prompt.run(pages=[{"title": "one", "photo": media / "photo-cat.jpg"}])
        assert answer.value == "a cat"
        content = json.loads(host.attempts[-1].body)["messages"][-1]["content"]
        assert [part["type"] for part in content].count("image_url") == 1
        sent = len(host.attempts)
        with pytest.raises(PromptError, match=r"takes an image at pages\[0\].photo, and report.pdf is a document"):
            prompt.run(pages=[{"title": "one", "photo": media / "report.pdf"}])
    assert len(host.attempts) == sent


def test_the_command_line_names_files_within_values_by_an_at_sign(tmp_path: Path) -> None:
    file = read(tmp_path, PAGE.replace("title string", "title string | image"))
    given = argument_values.parse_assignments(
        file, ['pages=[{"title": "@@home", "photo": "@a.png"}, {"title": "@t.png", "photo": "b.png"}]']
    )
    assert given == {"pages": [{"title": "@home", "photo": Path("a.png")}, {"title": Path("t.png"), "photo": "b.png"}]}
    shown = parts(file, given)
    assert [name(part) for part in shown if isinstance(part, Image)] == ["a.png", "t.png", "b.png"]


def test_tests_of_a_file_bring_media_within_their_arguments(tmp_path: Path) -> None:
    test = """test One {
  functions [Look]
  args {
    pages [
      {
        title "one"
        photo { file "cat.png" }
      }
    ]
  }
}
"""
    (example,) = read(tmp_path, PAGE + test).examples
    (page,) = example.arguments["pages"]
    assert page == {"title": "one", "photo": File(source=PathSource(path=str(tmp_path / "cat.png")))}


def test_a_value_that_holds_itself_ends(tmp_path: Path) -> None:
    text = "class Node {\n  photo image\n  next Node?\n}\n" + PAGE.partition("}\n")[2].replace(
        "pages: Page[]", "n: Node"
    )
    file = read(
        tmp_path, text.replace("{% for page in pages %}{{ page.title }} {{ page.photo }}{% endfor %}", "{{ n }}")
    )
    assert file.template.messages(
        argument_values.bind_values(file, {}, missing=sample_arguments.make_samples(file, {}).values)
    )
    deep: dict[str, Any] = {"photo": "a.png", "next": None}
    for _ in range(60):
        deep = {"photo": "a.png", "next": deep}
    with pytest.raises(PromptError, match="nested too deep"):
        argument_values.bind_values(file, {"n": deep})
