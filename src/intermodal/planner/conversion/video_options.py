"""Conversion options of videos (sound and frames, each with its own option) and of animations.

    sound     its subtitles | transcribed | as it is | there is none | given up where nothing can transcribe it
    frames  shown as they are | read | described | read and described | given up where nothing can see them

Number, size and selection of frames (by scene, or per second) are parameters of the plan. Speech and frames keep their
times, so that they can be related to each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect
from intermodal.cost_model.levels import HIGH, LEVELS, MID, ZEROS, Levels, add_levels, times
from intermodal.media.media_limits import (
    FRAME_SIDE,
    FRAMES_DENSE,
    FRAMES_LEAST,
    FRAMES_MOST,
    FRAMES_THRIFTY,
    READ_SIDE,
    THRIFTY_SIDE,
    expected_scenes,
    frame_size,
    most_frames,
)
from intermodal.planner.conversion import conversion_steps
from intermodal.planner.conversion.conversion_option import (
    ConversionOption,
    ConversionStep,
    ConvertersByJob,
    PartConversion,
    SizedImage,
    make_option,
)
from intermodal.planner.conversion.conversion_option import without_words as wordless_way
from intermodal.planner.conversion.fidelity import (
    ASPECTS_OF_KIND,
    DETAIL_PENALTY,
    FACT_PENALTY,
    MUST_KEEP,
    in_aspect_order,
    needs_timestamps,
    needs_vision,
    shows_no_writing,
    transcribed_channels,
)
from intermodal.planner.conversion.script_support import loses_words
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import PartFacts, SubtitleFacts
from intermodal.plans.numbers import with_noun
from intermodal.plans.step import SampleFrames

_ASPECTS_OF_SOUND: dict[str, tuple[Aspect, ...]] = {  # of speech
    "subtitled": ("words", "timing"),
    "heard": ("words", "timing"),
    "listened": ("words", "timing", "speakers", "tone"),
}
_ASPECTS_OF_IMAGES: dict[str, tuple[Aspect, ...]] = {
    "shown": ("appearance", "layout", "figures"),
    "read": (),
    "described": ("appearance", "figures"),
    "both": ("appearance", "figures"),
    "blind": (),
}
_OPTIONS_WITH_WRITING = ("shown", "read", "both")  # options that keep on-screen text


class FrameSampling(Struct, frozen=True):
    """Which frames are sampled, at most ``most``: ``fps`` per second, or one per scene if ``fps`` is None."""

    most: int
    side: int
    fps: float | None = None

    @property
    def dense(self) -> bool:
        """Return whether the frames are dense enough to show motion."""
        return self.fps is not None

    def parameters(self) -> SampleFrames:
        """Return the sampling as step parameters."""
        return SampleFrames(by_scene=self.fps is None, fps=self.fps, most=self.most, max_side=self.side)


class VideoTrack(Struct, frozen=True):
    """One half of a video option (sound or frames): its name, converters and frames."""

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    spread: FrameSampling | None = None
    subtitles: SubtitleFacts | None = None


def video_options(case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob) -> list[ConversionOption]:
    """Return the option with the whole video, and every pair of a sound option and a frame option."""
    part = bundle.parts[0]
    found = [
        make_option(case, bundle, "native", frozenset(("video",)), lambda place: _whole_video(bundle.parts[place]))
    ]
    for sound in _sound_tracks(case, part, conversions):
        for pictures in _frame_tracks(case, bundle, conversions):
            if sound.name in ("silent", "deaf") and pictures.name == "blind":
                continue
            found.append(_tracks_option(case, bundle, sound, pictures))
    return found


def animation_option(case: PlanningCase, bundle: Bundle) -> ConversionOption:
    """Return the option with an animation's frames as images."""
    spread = FrameSampling(FRAMES_THRIFTY * 2, FRAME_SIDE)

    def conversion_of(place: int) -> PartConversion:
        part = bundle.parts[place]
        count = _count(part, spread)
        step = conversion_steps.frames(
            case, part, spread.parameters(), count, _title(spread, count), for_final_call=True
        )
        return PartConversion(
            steps=(step,), pictures=(_shape(part, spread.side),), many=conversion_steps.frame_count(step)
        )

    return make_option(case, bundle, "frames", frozenset(("image",)), conversion_of)


def read_animation(case: PlanningCase, part: PartFacts, reader: Endpoint) -> tuple[ConversionStep, ConversionStep]:
    """Return the steps that sample an animation's frames by scene and read their text."""
    spread = FrameSampling(FRAMES_LEAST if shows_no_writing(part) else FRAMES_MOST, READ_SIDE)
    count = _count(part, spread)
    frames = conversion_steps.frames(
        case, part, spread.parameters(), count, _title(spread, count), for_final_call=False
    )
    return frames, conversion_steps.read_frames(case, part, reader, frames, _shape(part, spread.side), 0)


def _whole_video(part: PartFacts) -> PartConversion:
    return PartConversion(film=part)


def _sound_tracks(case: PlanningCase, part: PartFacts, conversions: ConvertersByJob) -> list[VideoTrack]:
    subtitles = choose_subtitles(part, case.policy.language)
    foreign = foreign_subtitles(part, case.policy.language) if subtitles is None else None
    found = [VideoTrack("subtitled", subtitles=subtitles)] if subtitles is not None else []
    if not part.channels:
        return found or [VideoTrack("silent", subtitles=foreign)]
    transcribers = conversions.get("transcribe", [])
    found += [VideoTrack("heard", (transcriber,), subtitles=foreign) for transcriber in transcribers]
    found.append(VideoTrack("listened", subtitles=foreign))
    images_only = case.job in ("score", "embed")  # only images are compared, without speech
    if (not transcribers and subtitles is None) or images_only:
        found.append(VideoTrack("deaf", subtitles=foreign))
    return found


# ---- subtitles ----------------------------------------------------------------------------------

# Of a complete subtitle track: minimum lines per minute, share of the time with text, and relative end.
_A_MINUTE, _SHARE, _REACHES = 2.0, 0.05, 0.5
_FOREIGN = re.compile(r"\b(forced|signs?|songs?)\b", re.IGNORECASE)
_PARTLY = re.compile(r"\b(forced|signs?|songs?|karaoke|commentary)\b", re.IGNORECASE)


def subtitle_gap(part: PartFacts, track: SubtitleFacts) -> str:
    """Return why a subtitle track seems incomplete; "" if it seems complete."""
    seconds = part.seconds.mid
    if track.forced or _PARTLY.search(track.title):
        return "are only for what is foreign, written or beside it"
    if track.lines < _A_MINUTE * seconds / 60 or track.shown < _SHARE * seconds:
        return f"have {with_noun(track.lines, 'line')} in {seconds:,.0f} s"
    if track.last < _REACHES * seconds:
        return f"end after {track.last:,.0f} of {seconds:,.0f} s"
    return ""


def choose_subtitles(part: PartFacts, language: str) -> SubtitleFacts | None:
    """Return the track that replaces a transcript; None if no track is complete.

    Preferred in this order: the policy's language, the language of the sound, default tracks, no descriptions of
    sounds, the first track.
    """
    complete = [track for track in part.subtitles if not subtitle_gap(part, track)]
    return min(complete, key=lambda track: _track_order(track, language), default=None)


def foreign_subtitles(part: PartFacts, language: str) -> SubtitleFacts | None:
    """Return the track for foreign or on-screen words, used beside the transcript; None if there is none."""
    found = [track for track in part.subtitles if track.forced or _FOREIGN.search(track.title)]
    others = [track for track in found if not all(_track_order(track, language)[:3]) or not track.language]
    return min(others, key=lambda track: _track_order(track, language), default=None)


def _track_order(track: SubtitleFacts, language: str) -> tuple[bool, ...]:
    is_requested = bool(language) and track.language == language
    return (not is_requested, not track.spoken, not track.default, track.described)


def subtitle_notes(part: PartFacts, language: str, used: Collection[int]) -> list[str]:
    """Return the notes on a video's subtitles: that its words come from them, or why not.

    ``used``: numbers of the tracks that the plan uses.
    """
    chosen_tracks = choose_subtitles(part, language)
    found: list[str] = []
    if chosen_tracks is not None and chosen_tracks.track in used:
        others = sorted({track.language or "?" for track in part.subtitles if track is not chosen_tracks})
        more = f"; there are others ({', '.join(others)})" if others else ""
        language_name = chosen_tracks.language or "language not stated"
        found.append(f"what is said in {part.name} is taken from its subtitles ({language_name}), and not heard{more}")
    elif chosen_tracks is None:
        for track in part.subtitles:
            language_name = track.language or "language not stated"
            so = "they stand beside what is said" if track.track in used else "not taken for what is said"
            found.append(f"the subtitles ({language_name}) of {part.name} {subtitle_gap(part, track)}: {so}")
    return found


# ---- frames -----------------------------------------------------------------------------------


def _frame_tracks(case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob) -> list[VideoTrack]:
    part = bundle.parts[0]
    most = most_planned_frames(part)
    wide, small = FrameSampling(most, FRAME_SIDE), FrameSampling(FRAMES_THRIFTY, THRIFTY_SIDE)
    sharp = FrameSampling(most, READ_SIDE)
    found = [VideoTrack("shown", (), wide), VideoTrack("shown", (), small)]
    if "motion" in bundle.needs or "motion" in case.policy.keep:
        rate = float(f"{min(2.0, FRAMES_DENSE / max(part.seconds.mid, 0.5)):.3g}")
        found.append(VideoTrack("shown", (), FrameSampling(FRAMES_DENSE, THRIFTY_SIDE, rate)))
    readers = conversions.get("read", [])
    describers = conversions.get("describe", []) if needs_vision(case.policy.keep, bundle.needs) else []
    scant = FrameSampling(FRAMES_THRIFTY, READ_SIDE)
    found += [VideoTrack("read", (reader,), spread) for reader in readers for spread in (sharp, scant)]
    found += [VideoTrack("described", (describer,), wide) for describer in describers]
    found += [VideoTrack("both", (readers[0], describer), sharp) for describer in describers if readers]
    unread = _is_only_heard(case, part) or (shows_no_writing(part) and not describers)
    if unread or not (readers or describers):
        found.append(VideoTrack("blind"))
    return found


def _is_only_heard(case: PlanningCase, part: PartFacts) -> bool:
    """Return whether the question asks only for what is said in the video."""
    return bool(part.channels or part.subtitles) and "video" in case.question_facts.words_alone


def _tracks_option(case: PlanningCase, bundle: Bundle, sound: VideoTrack, pictures: VideoTrack) -> ConversionOption:
    kinds: set[str] = set()
    if sound.name == "heard" or sound.subtitles is not None or pictures.name in ("read", "described", "both"):
        kinds.add("text")
    if sound.name == "listened":
        kinds.add("audio")
    if pictures.name == "shown":
        kinds.add("image")
    option = make_option(
        case, bundle, "watch", frozenset(kinds),
        lambda place: _video_conversion(
            case, bundle.parts[place], sound, pictures, timed=needs_timestamps(case.policy.keep, bundle.needs)
        ),
        aspects=_aspects(bundle.parts[0], sound, pictures, only_heard=_is_only_heard(case, bundle.parts[0])),
    )  # fmt: skip
    if sound.name == "heard" and loses_words(case, bundle, sound.endpoints[0]):
        option = wordless_way(option, bundle)
    if pictures.spread is not None:
        option.penalty += _missed_scenes_penalty(bundle.parts[0], pictures)
        option.lost += _leaves_out_scenes(case, bundle, pictures.name, pictures.spread)
    return option


def most_planned_frames(part: PartFacts) -> int:
    """Return the maximum number of frames by scene: one per expected scene if frames may contain text."""
    usual = most_frames(part.seconds.mid)
    return usual if shows_no_writing(part) else min(FRAMES_MOST, max(usual, _scenes(part)))


def _leaves_out_scenes(case: PlanningCase, bundle: Bundle, pictures: str, spread: FrameSampling) -> bool:
    """Return whether scenes that the question needs are omitted to save cost or time.

    Counts known scenes; under ``best``, all that more frames might show.
    """
    part = bundle.parts[0]
    visible: set[Aspect] = {*_ASPECTS_OF_IMAGES[pictures], *(("words",) if pictures in _OPTIONS_WITH_WRITING else ())}
    if spread.fps is not None or not any(bundle.needs.get(aspect) == MUST_KEEP for aspect in visible):
        return False
    scenes = (
        most_planned_frames(part)
        if case.policy.objective == "best"
        else min(most_planned_frames(part), 1 + len(part.cuts))
    )
    return spread.most < scenes


def _scenes(part: PartFacts) -> int:
    """Return the expected number of scenes."""
    return math.ceil(expected_scenes(part.seconds.mid, part.cuts)[MID])


def scene_notes(part: PartFacts, most: int) -> list[str]:
    """Return a note if a plan samples fewer frames than there are known scenes, or frames of an animation."""
    if part.kind == "image":
        frames, name = part.frames, part.name
        return [f"at most {most} of {frames:,} frames of {name} are taken, by what changes"] if most < frames else []
    scenes = 1 + len(part.cuts)
    return [f"at most {most} of about {scenes} scenes of {part.name} are looked at"] if most < scenes else []


def _missed_scenes_penalty(part: PartFacts, pictures: VideoTrack) -> float:
    """Return the penalty in USD for scenes probably omitted and for downscaled frames.

    For frames that are read, scenes that may be omitted also count. More frames are produced only if there are more
    scenes, so they cost nothing otherwise.
    """
    spread = pictures.spread
    small = FACT_PENALTY if spread is not None and spread.side < FRAME_SIDE else 0.0
    if spread is None or spread.fps is not None:
        return small
    _, expected, perhaps = expected_scenes(part.seconds.mid, part.cuts)
    if pictures.name == "read":
        expected = max(expected, min(perhaps, most_planned_frames(part)))
    return small + DETAIL_PENALTY * max(0.0, 1.0 - spread.most / max(1.0, expected))


def _aspects(
    part: PartFacts, sound: VideoTrack, pictures: VideoTrack, *, only_heard: bool = False
) -> tuple[tuple[Aspect, ...], tuple[Aspect, ...]]:
    """Return the aspects that a pair of tracks keeps and loses.

    An absent aspect (the tone of a silent video) is not lost. ``only_heard``: the question does not ask for on-screen
    words.
    """
    available_aspects: set[Aspect] = set(ASPECTS_OF_KIND["video"])
    keeps: set[Aspect] = set(_ASPECTS_OF_IMAGES[pictures.name])
    if sound.name == "silent":
        available_aspects -= {"speakers", "alignment"}
    else:
        keeps.update(_ASPECTS_OF_SOUND.get(sound.name, ()))
    if sound.name == "heard" and transcribed_channels(part) > 1:
        keeps.add("speakers")
    if not part.channels:
        available_aspects.discard("tone")
    if pictures.name in _OPTIONS_WITH_WRITING and sound.name != "deaf":
        keeps.add("words")
    if pictures.name not in _OPTIONS_WITH_WRITING and not shows_no_writing(part) and not only_heard:
        keeps.discard("words")
    if pictures.name != "blind":
        keeps.add("timing")
        if sound.name not in ("silent", "deaf"):
            keeps.add("alignment")
    if pictures.spread is not None and pictures.spread.dense:
        keeps.add("motion")
    return in_aspect_order(keeps), in_aspect_order(available_aspects - keeps)


def aspects_lost_as_text(part: PartFacts) -> tuple[Aspect, ...]:
    """Return the aspects that a video loses if only speech and on-screen text are kept."""
    return _aspects(part, VideoTrack("heard" if part.channels else "silent"), VideoTrack("read"))[1]


def _video_conversion(
    case: PlanningCase, part: PartFacts, sound: VideoTrack, frame_track: VideoTrack, *, timed: bool
) -> PartConversion:
    """Return the conversion of one video, sound before frames. Their text blocks are later merged by time."""
    steps: list[ConversionStep] = []
    sound_seconds = Quantity()
    lines = ZEROS
    if sound.subtitles is not None:
        steps.append(conversion_steps.subtitles(case, part, sound.subtitles, timed=timed))
        lines = conversion_steps.subtitle_lines(part, sound.subtitles, timed=timed)
    if sound.name == "heard":
        steps.append(
            conversion_steps.demux(case, part, for_final_call=False, separate_channels=transcribed_channels(part) > 1)
        )
        transcriber = sound.endpoints[0]
        steps.append(
            conversion_steps.transcribe(
                case, part, transcriber, case.rates(transcriber), source_step=len(steps) - 1, timed=timed
            )
        )
        lines = add_levels(lines, conversion_steps.transcript_lines(part, timed=timed))
    elif sound.name == "listened":
        steps.append(conversion_steps.demux(case, part, for_final_call=True))
        sound_seconds = part.seconds
    if frame_track.spread is None:
        return PartConversion(steps=tuple(steps), sound=sound_seconds, blocks=1, lines=lines)
    count = _count(part, frame_track.spread)
    title = _title(frame_track.spread, count)
    frames = conversion_steps.frames(
        case, part, frame_track.spread.parameters(), count, title, for_final_call=frame_track.name == "shown"
    )
    count, place = conversion_steps.frame_count(frames), len(steps)
    steps.append(frames)
    shape = _shape(part, frame_track.spread.side)
    if frame_track.name in ("read", "both"):
        reader = frame_track.endpoints[0]
        steps.append(conversion_steps.read_frames(case, part, reader, frames, shape, place))
    if frame_track.name in ("described", "both"):
        describer = frame_track.endpoints[-1]
        steps.append(
            conversion_steps.describe(
                case, part, describer, conversion_steps.VisualInput(title, (shape,), place, count)
            )
        )
    blocks = (
        count if frame_track.name == "shown" else (0.0, count[MID], count[HIGH])
    )  # frames may contain nothing to read
    lines = add_levels(lines, times(blocks, 2 if frame_track.name == "both" else 1))
    pictures = (shape,) if frame_track.name == "shown" else ()
    return PartConversion(steps=tuple(steps), pictures=pictures, many=count, sound=sound_seconds, blocks=1, lines=lines)


def _count(part: PartFacts, spread: FrameSampling) -> Levels:
    """Return the number of frames that the sampling yields."""
    if spread.fps is not None:
        exact = float(min(spread.most, max(1, round(part.seconds.mid * spread.fps))))
        return (exact, exact, exact)
    if part.kind == "image":
        most = min(spread.most, part.frames)  # most of many frames are steps of a movement
        return (1.0, max(1.0, min(most, FRAMES_LEAST) / 2), float(most))
    found = expected_scenes(part.seconds.mid, part.cuts)
    low, mid, high = (min(float(spread.most), max(1.0, found[level])) for level in LEVELS)
    return (low, mid, high)


def _shape(part: PartFacts, side: int) -> SizedImage:
    """Return the size of a sampled frame."""
    return (*frame_size(part.width, part.height, side), "auto")


def _title(spread: FrameSampling, count: Levels) -> str:
    """Return a description of the sampled frames."""
    if spread.fps is not None:
        return f"{count[1]:.0f} frames, {spread.fps:g} a second, {spread.side} px"
    expected = f"{count[1]:.0f}" if count[0] == count[2] else f"{count[0]:.0f}..{count[2]:.0f}"
    return f"{expected} frame{'s' if count[2] > 1 else ''} by scene, {spread.side} px"
