"""Enumerate the conversion options of a bundle: how it can reach the endpoint that answers.

    text      as it is
    image     as it is | as it is and read | read | described | read and described | frames of an animation
              | resized, where its size may be refused
    audio     as it is | transcribed
    video     as it is | its sound and its pictures, each with an option of its own (video_options.py)
    document  as it is | extract (scanned pages rendered and read) | render | mixed (text of pages, and pictures of
              scanned pages and of those with figures) | figured (text, and such pages described): document_options.py

An option applies to a whole bundle; its steps are what happens to one part.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.image_tokens import image_refusal
from intermodal.cost_model.rates import LOCAL_ZONES
from intermodal.media.media_limits import SAFE_SIDE
from intermodal.planner.bundles import Bundle
from intermodal.planner.conversion import conversion_steps
from intermodal.planner.conversion.conversion_option import (
    BOTH,
    IMAGE,
    TEXT,
    ConversionOption,
    ConvertersByJob,
    KeptPages,
    PartConversion,
    Picture,
    make_option,
    without_words,
)
from intermodal.planner.conversion.document_options import document_options
from intermodal.planner.conversion.fidelity import (
    DETAIL_PENALTY,
    FACT_PENALTY,
    SPARSE,
    in_aspect_order,
    needs_timestamps,
    needs_vision,
    transcript_fidelity,
)
from intermodal.planner.conversion.retry_eligibility import may_redo
from intermodal.planner.conversion.script_support import loses_words
from intermodal.planner.conversion.video_options import animation_option, video_options
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import PartFacts

BOTH_OF = 2  # readers, and eyes, up to which a picture is both read and described


def conversion_options(
    case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob, kept_pages: KeptPages | None = None
) -> list[ConversionOption]:
    """Return every option for this bundle, whichever endpoint answers; rules exclude later what an endpoint cannot
    take.
    """
    if case.job == "transcribe":
        return [
            make_option(
                case,
                bundle,
                "native",
                frozenset(("audio",)),
                lambda place: PartConversion(sound=bundle.parts[place].seconds),
            )
        ]
    open_to = {job: allowed_converters(case, bundle, job, some) for job, some in conversions.items()}
    if case.translating:  # words alone are wanted, of a film, too
        heard = [_transcribed(case, bundle, ear) for ear in open_to.get("transcribe", [])]
        whole = [make_option(case, bundle, "native", frozenset(("audio",)), lambda place: _as_it_is(bundle, place))]
        return [*heard, *(whole if bundle.kind == "audio" else [])]
    if bundle.kind == "document":
        return document_options(case, bundle, open_to, kept_pages or {})
    if bundle.kind == "video":
        return video_options(case, bundle, open_to)
    found = [make_option(case, bundle, "native", frozenset((bundle.kind,)), lambda place: _as_it_is(bundle, place))]
    if bundle.kind == "audio":
        found += [_transcribed(case, bundle, ear) for ear in open_to.get("transcribe", [])]
    if bundle.kind == "image":
        found += _picture_options(case, bundle, open_to)
    return found


def allowed_converters(case: PlanningCase, bundle: Bundle, job: str, some: list[Endpoint]) -> list[Endpoint]:
    """Return the converters that may be given these parts and did not fail with them already.

    Private parts are converted on this machine or not at all. After a failure only a stronger converter may follow, or
    one that knows the language.
    """
    found = [e for e in some if not bundle.private or e.host.zone in LOCAL_ZONES]
    for part in bundle.parts:
        for done in part.outcomes:
            if done.problem and done.op == job:
                found = [e for e in found if may_redo(case, e, done)]
    return found


def _as_it_is(bundle: Bundle, place: int) -> PartConversion:
    part = bundle.parts[place]
    if part.kind == "image":
        return PartConversion(pictures=(_picture(bundle, place),))
    return PartConversion(sound=part.seconds)


def _picture(bundle: Bundle, place: int) -> Picture:
    part = bundle.parts[place]
    return (part.width, part.height, bundle.details[place])


def _transcribed(case: PlanningCase, bundle: Bundle, ear: Endpoint) -> ConversionOption:
    rates = case.rates(ear)
    timed = needs_timestamps(case.policy.keep, bundle.needs)
    each = [transcript_fidelity(part, timed=timed) for part in bundle.parts]
    lost = {aspect for _, gone in each for aspect in gone}
    kept = {aspect for there, _ in each for aspect in there} - lost
    made = make_option(
        case,
        bundle,
        "transcribe",
        TEXT,
        lambda place: PartConversion(
            pieces=(conversion_steps.transcribe(case, bundle.parts[place], ear, rates, timed=timed),),
            blocks=1,
            lines=conversion_steps.transcript_lines(bundle.parts[place], timed=timed),
        ),
        aspects=(in_aspect_order(kept), in_aspect_order(lost)),
    )
    return without_words(made, bundle) if loses_words(case, bundle, ear) else made


def _picture_options(case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob) -> list[ConversionOption]:
    """Return the options that put a picture in words: what is written in it, what it shows, or both."""
    readers, eyes = conversions.get("read", []), conversions.get("describe", [])

    def way(name: str, reader: Endpoint | None, eye: Endpoint | None) -> ConversionOption:
        made = make_option(
            case, bundle, name, TEXT,
            lambda place: _put_in_words(case, bundle.parts[place], _picture(bundle, place), reader, eye),
        )  # fmt: skip
        return without_words(made, bundle) if reader is not None and loses_words(case, bundle, reader) else made

    found = [way("read", reader, None) for reader in readers]
    if case.named is not None and any(case.index.group_of[name].cannot_read for name in case.named):
        found += [_read_along(case, bundle, reader) for reader in readers]
    if _may_be_refused(case, bundle):
        found.append(_resized(case, bundle))
    if any(part.frames > 1 for part in bundle.parts) and ("motion" in bundle.needs or "motion" in case.policy.keep):
        found.append(animation_option(case, bundle))
    if needs_vision(case.policy.keep, bundle.needs) or not readers:
        found += [way("describe", None, eye) for eye in eyes]
        found += [way("both", reader, eye) for eye in eyes[:BOTH_OF] for reader in readers[:BOTH_OF]]
    return found


def _may_be_refused(case: PlanningCase, bundle: Bundle) -> bool:
    """Return whether some vendor accepts no picture of that size, or not so many of them."""
    longest = max(max(part.width, part.height) for part in bundle.parts)
    if longest <= SAFE_SIDE:
        return False
    count = sum(len(each.parts) for each in case.bundles if each.kind == "image")
    for book in case.index.books(case.as_of):
        many = book.limits.many_images if book.limits is not None else None
        if many is not None and count > many[0] and longest > many[1]:
            return True
        if any(image_refusal(book.image, *_picture(bundle, place)) for place in range(len(bundle.parts))):
            return True
    return False


def _resized(case: PlanningCase, bundle: Bundle) -> ConversionOption:
    """Return the option of pictures small enough for every vendor. Small print suffers, so it is a last resort."""

    def passage(place: int) -> PartConversion:
        part = bundle.parts[place]
        if max(part.width, part.height) <= SAFE_SIDE:
            return PartConversion(pictures=(_picture(bundle, place),))
        piece, picture = conversion_steps.resize(case, part, SAFE_SIDE, bundle.details[place])
        return PartConversion(pieces=(piece,), pictures=(picture,))

    made = make_option(case, bundle, "resized", IMAGE, passage)
    plain = all(part.text_density.known and part.text_density.mid <= SPARSE for part in bundle.parts)
    made.penalty += FACT_PENALTY if plain else DETAIL_PENALTY
    return made


def _read_along(case: PlanningCase, bundle: Bundle, reader: Endpoint) -> ConversionOption:
    """Return the option of pictures with their text read beside them, for a named model too weak to read them."""
    return make_option(
        case, bundle, "read_along", BOTH,
        lambda place: PartConversion(
            pieces=(conversion_steps.read(case, bundle.parts[place], reader, case.rates(reader)),),
            pictures=(_picture(bundle, place),), blocks=1,
        ),
    )  # fmt: skip


def _put_in_words(
    case: PlanningCase, part: PartFacts, picture: Picture, reader: Endpoint | None, eye: Endpoint | None
) -> PartConversion:
    found = []
    if reader is not None:
        found.append(conversion_steps.read(case, part, reader, case.rates(reader)))
    if eye is not None:
        size = f"{part.width}x{part.height}"
        found.append(conversion_steps.describe(case, part, eye, conversion_steps.VisualInput(size, (picture,))))
    return PartConversion(pieces=tuple(found), blocks=len(found))


__all__ = ["allowed_converters", "conversion_options"]
