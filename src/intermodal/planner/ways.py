"""The ways a bundle of parts can reach the endpoint that answers, each with what it hands over and what it takes.

    text      as it is
    image     as it is | as it is and read | read | described | read and described | frames of an animation
              | made smaller, where its size may be refused
    audio     as it is | transcribe
    video     as it is | its sound and its pictures, each a way of its own (footage.py)
    document  as it is | extract (scanned pages rendered and read) | render | mixed (text of pages, and pictures of
              scanned pages and of those with figures) | figured (text, and such pages described): documents.py

A way is a choice for a whole bundle; its pieces are what happens to one part, one piece per step.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.costing.images import image_refusal
from intermodal.costing.rates import HERE
from intermodal.media.media_limits import SAFE_SIDE
from intermodal.planner import pieces
from intermodal.planner.again import may_follow
from intermodal.planner.aspects import DETAIL_PENALTY, FACT_PENALTY, SPARSE, heard_by_ear, in_order, is_timed, wants_eye
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.planner.documents import document_ways
from intermodal.planner.footage import animation_way, video_ways
from intermodal.planner.scripts import is_beyond
from intermodal.planner.way import BOTH, IMAGE, TEXT, Conversions, Kept, Passage, Picture, Way, make_way, wordless
from intermodal.plans.facts import PartFacts

BOTH_OF = 2  # readers, and eyes, up to which a picture is both read and described


def ways(case: Case, bundle: Bundle, conversions: Conversions, kept_pages: Kept | None = None) -> list[Way]:
    """Every way for this bundle, whoever answers; what an endpoint cannot take is ruled out later."""
    if case.job == "transcribe":
        return [
            make_way(
                case, bundle, "native", frozenset(("audio",)), lambda place: Passage(sound=bundle.parts[place].seconds)
            )
        ]
    open_to = {job: may(case, bundle, job, some) for job, some in conversions.items()}
    if case.translating:  # words alone are wanted, of a film, too
        heard = [_heard(case, bundle, ear) for ear in open_to.get("transcribe", [])]
        whole = [make_way(case, bundle, "native", frozenset(("audio",)), lambda place: _as_it_is(bundle, place))]
        return [*heard, *(whole if bundle.kind == "audio" else [])]
    if bundle.kind == "document":
        return document_ways(case, bundle, open_to, kept_pages or {})
    if bundle.kind == "video":
        return video_ways(case, bundle, open_to)
    found = [make_way(case, bundle, "native", frozenset((bundle.kind,)), lambda place: _as_it_is(bundle, place))]
    if bundle.kind == "audio":
        found += [_heard(case, bundle, ear) for ear in open_to.get("transcribe", [])]
    if bundle.kind == "image":
        found += _seen(case, bundle, open_to)
    return found


def may(case: Case, bundle: Bundle, job: str, some: list[Endpoint]) -> list[Endpoint]:
    """Converters that may get these parts, and that did not fail with them already.

    What is private is converted on this machine or not at all. One that failed is followed by a stronger one, or one
    that hears the language, or by none: the same again would bring the same.
    """
    found = [e for e in some if not bundle.private or e.host.zone in HERE]
    for part in bundle.parts:
        for done in part.outcomes:
            if done.problem and done.op == job:
                found = [e for e in found if may_follow(case, e, done)]
    return found


def _as_it_is(bundle: Bundle, place: int) -> Passage:
    part = bundle.parts[place]
    if part.kind == "image":
        return Passage(pictures=(_picture(bundle, place),))
    return Passage(sound=part.seconds)


def _picture(bundle: Bundle, place: int) -> Picture:
    part = bundle.parts[place]
    return (part.width, part.height, bundle.details[place])


def _heard(case: Case, bundle: Bundle, ear: Endpoint) -> Way:
    rates = case.rates(ear)
    timed = is_timed(case.policy.keep, bundle.needs)
    each = [heard_by_ear(part, timed=timed) for part in bundle.parts]
    lost = {aspect for _, gone in each for aspect in gone}
    kept = {aspect for there, _ in each for aspect in there} - lost
    made = make_way(
        case, bundle, "transcribe", TEXT,
        lambda place: Passage(
            pieces=(pieces.hear(case, bundle.parts[place], ear, rates, timed=timed),), blocks=1,
            lines=pieces.lines_heard(bundle.parts[place], timed=timed),
        ),
        aspects=(in_order(kept), in_order(lost)),
    )  # fmt: skip
    return wordless(made, bundle) if is_beyond(case, bundle, ear) else made


def _seen(case: Case, bundle: Bundle, conversions: Conversions) -> list[Way]:
    """A picture turned into words: those written on it, those that say what it shows, or both."""
    readers, eyes = conversions.get("read", []), conversions.get("describe", [])

    def way(name: str, reader: Endpoint | None, eye: Endpoint | None) -> Way:
        made = make_way(
            case, bundle, name, TEXT,
            lambda place: _put_in_words(case, bundle.parts[place], _picture(bundle, place), reader, eye),
        )  # fmt: skip
        return wordless(made, bundle) if reader is not None and is_beyond(case, bundle, reader) else made

    found = [way("read", reader, None) for reader in readers]
    if case.named is not None and any(case.index.group_of[name].cannot_read for name in case.named):
        found += [_read_along(case, bundle, reader) for reader in readers]
    if _may_be_refused(case, bundle):
        found.append(_resized(case, bundle))
    if any(part.frames > 1 for part in bundle.parts) and ("motion" in bundle.needs or "motion" in case.policy.keep):
        found.append(animation_way(case, bundle))
    if wants_eye(case.policy.keep, bundle.needs) or not readers:
        found += [way("describe", None, eye) for eye in eyes]
        found += [way("both", reader, eye) for eye in eyes[:BOTH_OF] for reader in readers[:BOTH_OF]]
    return found


def _may_be_refused(case: Case, bundle: Bundle) -> bool:
    """Some vendor takes no picture of that size, or not so many of them."""
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


def _resized(case: Case, bundle: Bundle) -> Way:
    """Pictures made so small that nobody refuses them. Small print suffers, so it is for want of another way."""

    def passage(place: int) -> Passage:
        part = bundle.parts[place]
        if max(part.width, part.height) <= SAFE_SIDE:
            return Passage(pictures=(_picture(bundle, place),))
        piece, picture = pieces.resize(case, part, SAFE_SIDE, bundle.details[place])
        return Passage(pieces=(piece,), pictures=(picture,))

    made = make_way(case, bundle, "resized", IMAGE, passage)
    plain = all(part.text_density.known and part.text_density.mid <= SPARSE for part in bundle.parts)
    made.penalty += FACT_PENALTY if plain else DETAIL_PENALTY
    return made


def _read_along(case: Case, bundle: Bundle, reader: Endpoint) -> Way:
    """Pictures as they are, and beside them their words, for a model that was named and cannot read these by itself."""
    return make_way(
        case, bundle, "read_along", BOTH,
        lambda place: Passage(
            pieces=(pieces.read(case, bundle.parts[place], reader, case.rates(reader)),),
            pictures=(_picture(bundle, place),), blocks=1,
        ),
    )  # fmt: skip


def _put_in_words(
    case: Case, part: PartFacts, picture: Picture, reader: Endpoint | None, eye: Endpoint | None
) -> Passage:
    found = []
    if reader is not None:
        found.append(pieces.read(case, part, reader, case.rates(reader)))
    if eye is not None:
        size = f"{part.width}x{part.height}"
        found.append(pieces.describe(case, part, eye, pieces.Look(size, (picture,))))
    return Passage(pieces=tuple(found), blocks=len(found))


__all__ = ["may", "ways"]
