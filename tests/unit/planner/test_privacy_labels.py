"""Labels on files hold for what was taken out of them; a release lets out what it names and nothing beside it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intermodal.core.content import Kind
from intermodal.core.request import Policy
from intermodal.errors import UsageError
from intermodal.planner.eligibility import privacy_labels
from intermodal.planner.eligibility.privacy_labels import is_private, may_release
from intermodal.planner.planning_case import check_labels
from intermodal.plans.facts import Facts, PartFacts

MAIL = ("letter.eml", "document", "text")
REPORT = ("report.docx", "document")


def part(name: str, kind: Kind, *origins: str) -> PartFacts:
    return PartFacts(index=0, name=name, kind=kind, origins=origins)


WORDS = part("report.docx", "text", *REPORT)
PICTURE = part("report.docx, image 1", "image", *REPORT)
SECOND = part("report.docx (2)", "text", *REPORT)
LETTER = part("letter.eml", "text", *MAIL)
CALL = part("letter.eml, call.wav", "audio", *MAIL, "call.wav")
ATTACHED = part("letter.eml, report.docx", "text", *MAIL, *REPORT)
NOTES = part("letter.eml, notes.txt", "text", *MAIL, "notes.txt")
CALL_2 = part("letter.eml, call.wav (2)", "audio", *MAIL, "call.wav", "letter.eml, call.wav")


@pytest.mark.parametrize("made", [WORDS, PICTURE, SECOND, LETTER, CALL, ATTACHED, NOTES, CALL_2])
def test_a_private_document_covers_everything_that_was_in_it(made: PartFacts) -> None:
    assert is_private(Policy(private=("document",)), made)
    assert is_private(Policy(private=(made.origins[0],)), made)
    assert is_private(Policy(private=(f"some/folder/{made.origins[0]}",)), made)
    assert not is_private(Policy(private=("other.docx",)), made)
    assert not is_private(Policy(), made)


@pytest.mark.parametrize("made", [CALL, CALL_2])
def test_an_attachment_can_be_private_by_its_own_name_or_kind(made: PartFacts) -> None:
    assert is_private(Policy(private=("call.wav",)), made)
    assert is_private(Policy(private=("audio",)), made)
    assert not is_private(Policy(private=("call.wav", "audio")), LETTER)


@pytest.mark.parametrize(
    ("private", "release", "stays"),
    [
        ("report.docx", "report.docx:text", {"report.docx, image 1"}),
        ("document", "document:text", {"report.docx, image 1", "letter.eml, call.wav"}),
        (
            "document",
            "document:image",
            {"report.docx", "letter.eml", "letter.eml, call.wav", "letter.eml, report.docx"},
        ),
        ("report.docx", "letter.eml:text", {"report.docx", "report.docx, image 1", "letter.eml, report.docx"}),
        ("letter.eml", "report.docx:text", {"letter.eml", "letter.eml, call.wav", "letter.eml, report.docx"}),
    ],
)
def test_only_the_private_file_that_is_released_is_let_out(private: str, release: str, stays: set[str]) -> None:
    policy = Policy(private=(private,), release=(release,))
    parts = (WORDS, PICTURE, LETTER, CALL, ATTACHED)
    assert {each.name for each in parts if is_private(policy, each)} == stays


def test_text_read_from_a_picture_of_a_document_follows_the_document() -> None:
    assert may_release(Policy(private=("document",), release=("document:text",)), PICTURE, "text")
    assert not may_release(Policy(private=("document",), release=("document:image",)), PICTURE, "text")
    assert not may_release(Policy(private=("document",), release=("image:text",)), PICTURE, "text")
    assert not may_release(Policy(private=("document", "image"), release=("document:text",)), PICTURE, "text")


def test_words_of_a_recording_in_a_private_mail_need_a_release_of_that_mail() -> None:
    assert not may_release(Policy(private=("document",), release=("document:text",)), CALL, "text")
    assert not may_release(Policy(private=("document",), release=("audio:text",)), CALL, "text")
    assert may_release(Policy(private=("letter.eml",), release=("letter.eml:text",)), CALL, "text")


def test_a_file_that_is_private_itself_is_not_let_out_by_a_release_of_the_mail_around_it() -> None:
    policy = Policy(private=("letter.eml", "notes.txt"), release=("letter.eml:text", "document:text"))
    assert is_private(policy, NOTES)
    assert not is_private(policy, LETTER)


FILM = part("talk.mp4", "video")


@pytest.mark.parametrize("label", ["audio", "image", "video", "talk.mp4"])
def test_a_label_for_sound_or_pictures_holds_for_a_video_of_them(label: str) -> None:
    assert is_private(Policy(private=(label,)), FILM)
    assert not may_release(Policy(private=(label,)), FILM, "text")


@pytest.mark.parametrize(
    ("private", "release", "into", "leaves"),
    [
        (("audio",), (), "audio", False),
        (("audio",), (), "image", True),  # the images are not what the label is about
        (("audio",), ("audio:text",), "text", True),
        (("audio",), ("image:text",), "text", False),
        (("audio", "image"), ("audio:text",), "text", False),  # some of it may have been read off the screen
        (("audio", "image"), ("audio:text", "image:text"), "text", True),
        (("audio", "image"), ("video:text",), "text", True),
        (("image",), ("talk.mp4:image",), "image", True),
        (("image",), (), "audio", True),
        (("video", "audio"), ("audio:text",), "text", False),
        (("video",), ("audio:text",), "text", False),
    ],
)
def test_each_label_inside_a_video_has_to_let_its_words_out(
    private: tuple[str, ...], release: tuple[str, ...], into: str, leaves: bool
) -> None:
    assert may_release(Policy(private=private, release=release), FILM, into) is leaves


@pytest.mark.parametrize("label", ["letter.eml, call.wav", "call.wav", "some/folder/call.wav"])
def test_an_attachment_is_labelled_by_the_last_part_of_its_name_or_all_of_it(label: str) -> None:
    policy = Policy(private=(label,))
    check_labels(policy, Facts(parts=(LETTER, CALL)))
    assert is_private(policy, CALL) and not is_private(policy, LETTER)


def test_a_picture_of_a_document_is_labelled_by_the_last_part_of_its_name() -> None:
    policy = Policy(private=("image 1",))
    check_labels(policy, Facts(parts=(WORDS, PICTURE)))
    assert is_private(policy, PICTURE) and not is_private(policy, WORDS)
    assert not may_release(Policy(private=("image 1",), release=("image 1:text",)), PICTURE, "text")


@pytest.mark.parametrize("label", ["picture 1", "report.docx, picture 1", "some/folder/report.docx, picture 1"])
def test_the_older_name_of_an_image_in_a_document_still_labels_it(label: str) -> None:
    check_labels(Policy(private=(label,)), Facts(parts=(WORDS, PICTURE)))
    assert is_private(Policy(private=(label,)), PICTURE)
    assert may_release(Policy(private=("image",), release=("report.docx, picture 1:text",)), PICTURE, "text")


@pytest.mark.parametrize("label", ["picture 1", "some/folder/picture 1"])
def test_a_file_that_is_called_picture_1_is_labelled_by_its_name(label: str) -> None:
    assert is_private(Policy(private=(label,)), part("picture 1", "image"))


def test_a_slip_of_the_pen_in_a_label_is_an_error() -> None:
    for policy in (Policy(private=("cal.wav",)), Policy(private=("sound",)), Policy(release=("image 1:text",))):
        with pytest.raises(UsageError, match="no part is named"):
            check_labels(policy, Facts(parts=(WORDS, PICTURE, CALL)))


NAMES = ("letter.eml", "report.docx", "call.wav", "notes.txt", "image 1", "x, call.wav", "letter.eml, call.wav")
LABELS = (*NAMES, "report.docx, image 1", "dir/call.wav", "audio", "text", "image", "document")
labels_ = st.lists(st.sampled_from(LABELS), max_size=3, unique=True).map(tuple)


@pytest.mark.slow
@given(
    name=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(", ".join),
    kind=st.sampled_from(("text", "image", "audio", "document", "video")),
    origins=st.lists(st.sampled_from((*NAMES, "document", "text")), max_size=5).map(tuple),
    private=labels_,
    release=st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(("text", "image"))), max_size=3),
    into=st.sampled_from(("text", "image")),
)
@settings(max_examples=600, derandomize=True)
def test_no_label_is_looser_for_being_read_by_the_last_part_of_a_name(
    name: str, kind: Kind, origins: tuple[str, ...], private: tuple[str, ...],
    release: list[tuple[str, Kind]], into: Kind,
) -> None:  # fmt: skip
    """Against labels read by whole names alone: what stayed here stays here."""
    policy = Policy(private=private, release=tuple(f"{label}:{made}" for label, made in release))
    made = part(name, kind, *origins)
    now = may_leave(policy, made, into)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy_labels, "_private_names", privacy_labels._own_names)
        before = may_leave(policy, made, into)
    assert before or not now


def may_leave(policy: Policy, made: PartFacts, into: Kind) -> bool:
    """What is made of it, or the thing itself where it is of that kind."""
    private = is_private(policy, made)
    return not private or may_release(policy, made, into)
