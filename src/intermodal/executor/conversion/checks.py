"""Checks of a step's result: remarks for the user, and findings that may change the plan. Pure.

``conversion_remarks`` covers every conversion; ``run_check`` runs the plan's checks. The last part compares columns of
amounts with the total below them. A total that differs from their sum proves little: a tax, a discount or rounding may
explain it. A total that differs from it in one digit in one place (``1,380.50`` and ``1,330.50``) suggests a misread
digit: of totals that are otherwise no sum, one in a hundred differs that way by chance.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from intermodal.catalog.types import Endpoint
from intermodal.core.content import ReadLine, Segment, Transcript, Value
from intermodal.core.quantity import Quantity
from intermodal.executor.preparation.model_inputs import ImageInput, StepProduct, TextInput
from intermodal.executor.preparation.prompt import is_empty
from intermodal.local.embedded.ocr_layout import DOUBTED, SPOILT, lines_to_text, lines_with_words, unread_share
from intermodal.local.embedded.voice_activity import DOUBTED_WORDS
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.step import Call, Transform, amount_kept

_LOOP = 4  # repetitions of a sentence from which the transcriber is stuck, not the speaker
_LINES = 6  # repetitions of a line from which the writer is stuck
_PHRASES = 8  # repetitions of a phrase of three or more words from which the writer is stuck
_PHRASE_WORDS = range(3, 41)
# A transcriber's mean probability of its words. English speech by whisper-tiny.en: 0.57 with loud noise to 0.79 clean;
# French, German, Spanish and Italian by it, as English: 0.13 to 0.39. whisper-base in their own languages: 0.47
# to 0.67, the lowest with wrong words.
_FOREIGN = 0.45  # below it, a transcriber of one language was given another language
_UNSURE = 0.4  # below it, any transcriber was guessing
# Words per second of detected speech: slow dictation has 1.5. A transcriber that omits repetitions, or finds a word
# here and there in noise, has fewer. A word counts as six letters at most, so that scripts without blanks are counted
# too.
_SPARSE = 0.8
_SPARSE_FROM = 10.0  # minimum seconds of a segment that is checked; in shorter ones a pause proves nothing
_WORD_LETTERS = 6
# A segment with words less likely than ``DOUBTED_WORDS`` is doubted, and so is a recording in which such segments reach
# the share ``SPOILT``. Measured with whisper-base on English under noise, echo, pauses, a narrow band, and at other
# speeds: in the five recordings of which fewer than four words in five arrive, 16 to 100 % is below; in the nine
# others, and in clean French, nothing.
_LOOP_COMPRESSION = 2.4  # length divided by compressed length from which Whisper itself takes text for a loop
_WINDOW = 30.0  # seconds whose words are compressed together
_LEAST_UNHEARD_SHARE = 0.1  # share of a recording that is loud and has no words, from which it is reported
# Letters read divided by the minimum counted by their edges, below which words are missing. 26 pages and images of
# known words, small print, tables and charts among them, have a ratio of 0.9 and more.
_LEAST_READ_SHARE = 0.4
_LEGIBLE = 0.7  # mean confidence of characters below which a reading is a guess
_TEXT = 0.04  # share of an image's area that is text, from which there must be words to read
_LETTERS = re.compile(r"[^\W_]")


def conversion_remarks(op: str, product: StepProduct, name: str, facts: PartFacts | None = None) -> tuple[str, ...]:
    """Return the remarks on a conversion of the part ``name``, for the user. ``facts``: of the part, if known."""
    if op == "read":
        return tuple(_reading_findings(product, name, facts))
    check = _CHECKS.get(op)
    return tuple(check(product, name)) if check is not None else ()


def _transcript_texts(product: StepProduct, name: str) -> list[str]:
    transcript = product.transcript
    if transcript is None or not transcript.text:
        return [voices_without_words(transcript, name) or f"no speech found in {name}"]
    if is_looping(transcript) or repeats(transcript.text):
        return [f"the transcript of {name} repeats itself: speech recognition may have been stuck"]
    if transcript.unheard and transcript.unheard >= _LEAST_UNHEARD_SHARE * transcript.seconds:
        return [
            f"no words were heard in {transcript.unheard:,.0f} of {transcript.seconds:,.0f} s of {name} that are as "
            "loud as its words: if that is speech, its words are missing"
        ]
    return []


def voices_without_words(transcript: Transcript | None, name: str) -> str:
    """Return the remark on a recording with voices but without a recognised word; "" for any other."""
    if transcript is None or transcript.segments or not transcript.unheard:
        return ""
    return f"{transcript.unheard:,.0f} s of {name} sound like speech, but no word of it could be recognised"


def _reading_findings(product: StepProduct, name: str, facts: PartFacts | None) -> list[str]:
    if not product.pieces:  # images on pages whose text layer has all their words
        return []
    read = [any(line.text.strip() or line.unread for line in lines) for lines in product.lines]
    if not any(read):
        return [f"no text found in {name}"]
    pages = [piece.page for piece in product.pieces if isinstance(piece, TextInput)]
    every = [line for lines in product.lines for line in lines]
    missing = _legible(every, name, facts, pages) if any(line.unread for line in every) else None
    findings = [missing.message] if missing is not None else []
    if len(pages) != len(read):
        return findings
    pairs = zip(pages, read, strict=True)
    return findings + [f"no text found on page {page} of {name}" for page, found in pairs if not found and page]


def _extraction_findings(product: StepProduct, name: str) -> list[str]:
    texts = [piece for piece in product.pieces if isinstance(piece, TextInput) and piece.text.strip()]
    if not texts:
        return [f"no text found in {name}"]
    found = [each for piece in texts if piece.page for each in mismatched_totals(piece.text)]
    return [describe_mismatch(found, name, read=False)] if found else []


def _rendering_findings(product: StepProduct, name: str) -> list[str]:
    return (
        [] if any(isinstance(piece, ImageInput) for piece in product.pieces) else [f"no page of {name} could be drawn"]
    )


def _frame_findings(product: StepProduct, name: str) -> list[str]:
    if not product.pieces:
        return [f"no frame of {name} could be drawn"]
    frame_count = len(product.pieces)
    return [f"{frame_count} of {product.scenes} scenes of {name} are looked at"] if frame_count < product.scenes else []


def _description_findings(product: StepProduct, name: str) -> list[str]:
    if product.looped:
        return [f"the description of {name} began to repeat itself and was stopped"]
    return [f"nothing could be described in {name}"] if all(map(is_empty, product.pieces)) else []


_CHECKS: Mapping[str, Callable[[StepProduct, str], list[str]]] = {
    "transcribe": _transcript_texts,
    "extract": _extraction_findings,
    "render": _rendering_findings,
    "frames": _frame_findings,
    "describe": _description_findings,
}


# ---- the plan's checks ----------------------------------------------------------------------------


WITHOUT_REMARK = ("language", "confidence")  # problems that ``conversion_remarks`` does not cover


class CheckFinding(Value, frozen=True):
    """The finding of a check.

    ``problem``: a value of ``Outcome.problem``, "size", or "" if the check passed; ``message`` describes it.
    """

    problem: str = ""
    message: str = ""


class CheckSubject(Value, frozen=True):
    """The subject of a check: the step, its product, and the facts of its part.

    ``endpoint`` is None for a transform; ``language``: of the speech, as stated by the user; ``tokens``: of the text.
    """

    step: Transform | Call
    product: StepProduct
    facts: PartFacts
    endpoint: Endpoint | None = None
    language: str = ""
    tokens: int = 0


def run_check(op: str, subject: CheckSubject) -> CheckFinding:
    """Run one check of the plan. A check that this version does not know finds nothing."""
    inspect = _INSPECTIONS.get(op)
    return inspect(subject) if inspect is not None else CheckFinding()


def _transcript(subject: CheckSubject) -> CheckFinding:
    transcript, name = subject.product.transcript, subject.facts.name
    if transcript is None or not transcript.text:
        return CheckFinding(
            problem="empty", message=voices_without_words(transcript, name) or f"no speech was found in {name}"
        )
    if is_looping(transcript) or repeats(transcript.text):
        return CheckFinding(problem="looped", message=f"the transcript of {name} repeats itself")
    languages = subject.endpoint.model.languages if subject.endpoint is not None else ()
    language, requested_language = transcript.language, subject.language
    if requested_language and language and language != requested_language:
        return CheckFinding(problem="language", message=f"{name} was heard in {language}, not in {requested_language}")
    if languages and language and language not in languages:
        return CheckFinding(problem="language", message=f"{name} is in {language}, which this model was not made for")
    if not transcript.certainty:
        return _missed_speech(transcript, name)
    sure = f"(certain of its words to {transcript.certainty:.0%})"
    if len(languages) == 1 and transcript.certainty < _FOREIGN:
        return CheckFinding(
            problem="language", message=f"{name} may not be in {languages[0]}, the only language of this model {sure}"
        )
    if transcript.certainty < _UNSURE:
        return CheckFinding(problem="confidence", message=f"the transcript of {name} is a guess {sure}")
    return _missed_speech(transcript, name)


def _missed_speech(transcript: Transcript, name: str) -> CheckFinding:
    """Return the finding on speech that was transcribed badly, or not at all."""
    confident, speech = confident_seconds(transcript)
    if speech:
        amount = amount_kept(confident, speech, "seconds")
        text = f"{speech - confident:,} of {speech:,} s of speech in {name} are doubted: {amount} of its words arrive"
        return CheckFinding(problem="confidence", message=f"{text} as they are")
    return sparse_finding(name, sparse_speech(transcript))


def confident_seconds(transcript: Transcript) -> tuple[int, int]:
    """Return the seconds of speech that were transcribed with confidence, and of all speech; (0, 0) if
    nearly all were.
    """
    speech = sum(each.end - each.start for each in transcript.segments)
    doubted = sum(each.end - each.start for each in _doubtful_segments(transcript.segments))
    if transcript.certainty and transcript.certainty < _UNSURE:
        doubted = speech
    if doubted < max(SPOILT * speech, 0.5):
        return (0, 0)
    return (round(speech - doubted), max(1, round(speech)))


def heard_seconds(transcript: Transcript) -> tuple[int, int]:
    """Return the seconds transcribed with confidence, and of everything that may be speech; (0, 0) if nearly all were.

    A voice detector finds no speech in loud noise, so all of the noise may be speech.
    """
    confident, speech = confident_seconds(transcript)
    if not transcript.masked or transcript.masked < _LEAST_UNHEARD_SHARE * transcript.seconds:
        return confident, speech
    length = sum(each.end - each.start for each in transcript.segments)
    return (confident if speech else round(length)), max(1, round(length + transcript.masked))


def _doubtful_segments(segments: Sequence[Segment]) -> list[Segment]:
    """Return the segments with unlikely or repeating words."""
    found: list[Segment] = []
    for _, some in groupby(segments, lambda each: (each.speaker, each.start // _WINDOW)):
        window = list(some)
        words = " ".join(each.text for each in window).encode()
        loops = len(words) > _LOOP_COMPRESSION * len(zlib.compress(words))
        found += [each for each in window if loops or 0 < each.certainty < DOUBTED_WORDS]
    return found


def sparse_finding(name: str, lost: tuple[int, float]) -> CheckFinding:
    """Return the finding on long stretches of speech with hardly a word."""
    words, seconds = lost
    if not seconds:
        return CheckFinding()
    found = f"only {words} {'word was' if words == 1 else 'words were'} heard in {seconds:.0f} s of speech"
    return CheckFinding(
        problem="confidence", message=f"in {name} {found}: some of it may be missing, especially repetitions"
    )


def sparse_speech(transcript: Transcript) -> tuple[int, float]:
    """Return the words and seconds of the segments with too few words for their length; (0, 0.0) if there are none."""
    found = [
        (len(segment.text.split()), segment.end - segment.start)
        for segment in transcript.segments
        if segment.end - segment.start >= _SPARSE_FROM
        and max(len(segment.text.split()), len(_LETTERS.findall(segment.text)) / _WORD_LETTERS)
        < _SPARSE * (segment.end - segment.start)
    ]
    return sum(words for words, _ in found), sum(seconds for _, seconds in found)


def _reading(subject: CheckSubject) -> CheckFinding:
    lines = [line for of_picture in subject.product.lines for line in of_picture if line.text.strip() or line.unread]
    name = subject.facts.name
    if not lines:
        promised = _expected_text_share(subject)
        if promised < _TEXT:
            return CheckFinding()
        return CheckFinding(
            problem="empty", message=f"no text was found in {name}, where {promised:.0%} looks like text"
        )
    characters = sum(len(line.text) for line in lines)
    mean = sum(line.confidence * len(line.text) for line in lines) / max(1, characters)
    if mean < _LEGIBLE and not any(line.unread for line in lines):
        return CheckFinding(
            problem="confidence", message=f"the text read from {name} is a guess (confidence {mean:.0%})"
        )
    pages = [page.number for page in _read_pages(subject)]
    return (
        _legible(lines, name, subject.facts, pages)
        or _inspect_size(subject, characters)
        or _totals(subject)
        or CheckFinding()
    )


def _totals(subject: CheckSubject) -> CheckFinding | None:
    """Return the finding on totals that are one digit off the sum of the amounts above; None if there are none."""
    found = [each for lines in subject.product.lines for each in mismatched_totals(lines_to_text(lines))]
    return CheckFinding(problem="confidence", message=describe_mismatch(found, subject.facts.name)) if found else None


def _legible(
    lines: Sequence[ReadLine], name: str, facts: PartFacts | None, pages: Collection[int]
) -> CheckFinding | None:  # fmt: skip
    """Return the finding on words that are missing, or on more than a few doubtful lines; None if there are none.

    The mean confidence of a page shows little: it stays high if only single lines are misread. ``pages``: those that
    were read.
    """
    unread = sum(line.unread for line in lines)
    doubted = sum(line.confidence < DOUBTED and not line.unread for line in lines)
    findings = []
    if unread:
        has = "has" if unread == 1 else "have"
        findings.append(
            f"{_count_of_lines(unread, len(lines))} read from {name} {has} letters of a script that cannot be read here"
        )
    if doubted and unread + doubted >= SPOILT * len(lines):
        findings.append(
            f"{_count_of_lines(doubted, len(lines))} read from {name} {'is' if doubted == 1 else 'are'} doubted"
        )
    if not findings:
        return None
    amount = _amount_kept(lines, facts, pages)
    problem = "script" if unread else "confidence"
    return CheckFinding(problem=problem, message=f"{' and '.join(findings)}: {amount} of its words arrive as they are")


def _amount_kept(lines: Sequence[ReadLine], facts: PartFacts | None, pages: Collection[int]) -> str:
    """Return how many of the words of a file were read with confidence: "most" or "few".

    Letters of pages with a text layer count as kept. Scans that another step reads are left out.
    """
    sure, words = confident_lines(lines)
    share = 0.0 if unread_share(lines) == "most" else sure / words if words else 1.0
    every = facts.pages if facts is not None else ()
    layer_chars = sum(page.chars for page in every if not page.scanned)
    if not layer_chars:
        return amount_kept(round(share * 1_000), 1_000, "lines")
    letter_counts = [page.letters if page.scanned else page.figure_letters for page in every if page.number in pages]
    read = sum(count.mid for count in letter_counts if count.known) or float(sum(len(line.text) for line in lines))
    return amount_kept(round(layer_chars + share * read), round(layer_chars + read), "letters")


def confident_lines(lines: Sequence[ReadLine]) -> tuple[int, int]:
    """Return the number of lines read with confidence, and of all lines; (0, 0) if nearly all were."""
    words = lines_with_words(lines)
    sure = sum(not line.unread and line.confidence >= DOUBTED for line in words)
    return (0, 0) if len(words) - sure < SPOILT * len(words) or not words else (sure, len(words))


def _count_of_lines(count: int, lines: int) -> str:
    return f"{count:,} of {lines:,} lines" if lines > 1 else "the only line"


def _inspect_size(subject: CheckSubject, characters: int) -> CheckFinding | None:
    """Return the finding if far fewer letters were read than were counted by their edges."""
    pages = _read_pages(subject)
    counts = [page.letters for page in pages] or [subject.facts.letters]
    if (
        subject.facts.kind == "video"
        or _expected_text_share(subject) < _TEXT
        or not all(count.known for count in counts)
    ):
        return None
    least = sum(count.low for count in counts)
    if characters >= _LEAST_READ_SHARE * least:
        return None
    return CheckFinding(
        problem="confidence",
        message=f"{characters:,} letters were read from {subject.facts.name} where {least:,.0f} and more are seen: "
        "some of its words may be missing",
    )


def _read_pages(subject: CheckSubject) -> list[PageFacts]:
    read = {piece.page for piece in subject.product.pieces if isinstance(piece, TextInput) and piece.page}
    return [page for page in subject.facts.pages if page.number in read]


def _expected_text_share(subject: CheckSubject) -> float:
    """Return the share of text in the densest of the images that were read, at its middle estimate; 0 if unknown."""
    densities = [page.text_density for page in _read_pages(subject)]
    return max((density.mid for density in densities or [subject.facts.text_density] if density.known), default=0.0)


def _check_length_against_plan(subject: CheckSubject) -> CheckFinding:
    """Compare the tokens that a call produced, or the characters of a transform, with the plan."""
    estimate = subject.step.estimate
    if isinstance(subject.step, Call):
        return _in_range(float(subject.tokens), estimate.output_tokens, "tokens", subject.facts.name)
    characters = sum(len(piece.text) for piece in subject.product.pieces if isinstance(piece, TextInput))
    return _in_range(float(characters), estimate.text, "characters", subject.facts.name)


def _in_range(found: float, planned: Quantity, unit: str, name: str) -> CheckFinding:
    if not planned.known or not planned.high or planned.low <= found <= planned.high:
        return CheckFinding()
    text = f"{name} became {found:,.0f} {unit} of text where {planned.low:,.0f} to {planned.high:,.0f} were planned"
    return CheckFinding(problem="size", message=text)


_INSPECTIONS: Mapping[str, Callable[[CheckSubject], CheckFinding]] = {
    "transcript": _transcript,
    "reading": _reading,
    "size": _check_length_against_plan,
}


def repeats(text: str) -> bool:
    """Return True if a text has a line at least six times in a row, or a phrase of 3 to 40 words at least eight times.

    Lines and phrases without a letter or digit (table rules, blanks) do not count.
    """
    words = text.lower().split()
    if len(words) < _LINES:
        return False
    lines = text.splitlines()
    if len(lines) >= _LINES and _is_repetitive(lines):
        return True
    if len(words) - len(set(words)) < _PHRASE_WORDS.start * (_PHRASES - 1):  # too few words recur
        return False
    if max(Counter(words).values()) < _PHRASES:
        return False
    return any(_repeats_every(words, size) for size in _PHRASE_WORDS if size * _PHRASES <= len(words))


def _is_repetitive(lines: list[str]) -> bool:
    lower = (" ".join(line.lower().split()) for line in lines if line.strip())
    return any(_LETTERS.search(line) and sum(1 for _ in same) >= _LINES for line, same in groupby(lower))


def _repeats_every(words: list[str], size: int) -> bool:
    """Return True if some phrase of ``size`` words occurs eight times in a row.

    In that case ``least`` consecutive words each equal the word one phrase earlier, and one of their positions is a
    multiple of ``least``. Only these positions are compared, which costs a third of comparing every word.
    """
    least = size * (_PHRASES - 1)
    for place in range(least, len(words), least):
        if words[place] != words[place - size]:
            continue
        begin = end = place
        while begin > size and place - begin < least and words[begin - 1] == words[begin - 1 - size]:
            begin -= 1
        while end + 1 < len(words) and end + 1 - begin < least and words[end + 1] == words[end + 1 - size]:
            end += 1
        if end + 1 - begin >= least and _LETTERS.search(" ".join(words[place - size + 1 : place + 1])):
            return True
    return False


def is_looping(transcript: Transcript) -> bool:
    """Return True if a segment occurs at least four times in a row, which indicates a stuck transcriber."""
    run = 1
    words = [segment.text.strip().lower() for segment in transcript.segments]
    for before, after in pairwise(words):
        run = run + 1 if after and after == before else 1
        if run >= _LOOP:
            return True
    return False


LEAST = 3  # minimum number of amounts above a total for them to be added up

_AMOUNT = re.compile(r"(?<![\w.,])-?(?:\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+|\d+)[.,]\d{2}(?![\w.,]*\d)")

_MARKUP = re.compile(r"[|*#]+")  # of tables and headings in a document's text

_TOTAL = re.compile(
    r"\b(?:sub-?|grand )?total\w*|\bsum(?:me|ma)?\b|zwischensumme|gesamt\w*|\bimporto\b|\bsoma\b|\brazem\b|"
    r"\bитого\b|\bвсего\b|σύνολο|合計|总计",
    re.IGNORECASE,
)


class MismatchedTotal(Value):
    """A total as read, its row's label, and the sum of the amounts above it; both numbers in hundredths."""

    label: str
    read: int
    sum: int


def mismatched_totals(text: str) -> tuple[MismatchedTotal, ...]:
    """Return the totals in a text that differ in one digit from the sum of the rows above."""
    found: list[MismatchedTotal] = []
    items: list[int] = []  # since the rows of amounts began
    since: list[int] = []  # since the last total among them
    before: int | None = None  # that total
    for label, amount in _rows(text):
        if amount is None:
            if not _TOTAL.search(label):
                items, since, before = [], [], None
            continue
        if not _TOTAL.search(label):
            items.append(amount)
            since.append(amount)
            continue
        sums = [sum(items), sum(since), *([before + sum(since)] if before is not None else [])]
        if len(items) >= LEAST and amount not in sums and not _total_without_one(amount, sums, items):
            near = next((each for each in sums if _by_one_digit(each, amount)), None)
            if near is not None:
                found.append(MismatchedTotal(label=label, read=amount, sum=near))
        before, since = amount, []
    return tuple(found)


def format_amount(hundredths: int) -> str:
    """Return an amount formatted for a sentence."""
    return f"{hundredths / 100:,.2f}"


def _rows(text: str) -> Iterator[tuple[str, int | None]]:
    """Yield each row's words before its last amount, and that amount in hundredths (None if it has none).

    Empty rows are left out.
    """
    for line in text.splitlines():
        if not line.strip():
            continue
        amounts = list(_AMOUNT.finditer(line))
        if not amounts:
            yield line.strip(), None
            continue
        last = amounts[-1]
        digits = re.sub(r"\D", "", last.group())
        yield (
            " ".join(_MARKUP.sub(" ", line[: last.start()]).split()),
            int(digits) * (-1 if last.group().startswith("-") else 1),
        )


def _total_without_one(amount: int, sums: Sequence[int], items: Sequence[int]) -> bool:
    """Return True if a total equals a sum with one of the amounts subtracted or left out.

    A subtracted amount is a discount written without a sign; an omitted one is a tax already included in the others, a
    deposit, or the cash tendered.
    """
    differences = {some - amount for some in sums}
    return any(times * item in differences for item in items for times in (1, 2))


def _by_one_digit(first: int, second: int) -> bool:
    """Return True if two numbers differ in exactly one digit."""
    first_digits, second_digits = str(abs(first)), str(abs(second))
    return (
        len(first_digits) == len(second_digits)
        and first * second > 0
        and sum(a != b for a, b in zip(first_digits, second_digits, strict=True)) == 1
    )


def describe_mismatch(mismatched_totals: Sequence[MismatchedTotal], name: str, *, read: bool = True) -> str:
    """Return a sentence about mismatched totals.

    ``read``: they were read from an image; otherwise they are in the document's own text.
    """
    first = mismatched_totals[0]
    label = f" {first.label!r}" if first.label else ""
    where = f"{'read from' if read else 'in'} {name}"
    return (
        f"the total{label} {where} is {format_amount(first.read)} and the amounts above it add up to "
        f"{format_amount(first.sum)}: a figure may be wrong"
    )
