"""Spoken answers: text for a voice, the call that speaks, and the requested audio file.

Two routes end here. A ``speak`` call takes the text of a ``generate`` call before it (which streams it), or the text of
its inputs if that is spoken verbatim. A model that speaks by itself answers in one ``generate`` call, with text and
audio together.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Awaitable, Callable

from intermodal import errors
from intermodal.core.hints import hint
from intermodal.core.request import Output, SpeechOutput, TextOutput
from intermodal.events import Committed, Finished, Note, Speech, StepFinished
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.drivers.interface import CallJob, CallResult
from intermodal.executor.preparation.model_inputs import StepProduct, TextInput
from intermodal.executor.preparation.prompt import is_empty
from intermodal.executor.route_run import RouteRun
from intermodal.media.audio.encoding import mp3, resample, wav
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.plans.plan import PartRef, input_references, input_steps
from intermodal.plans.step import Call, GenerateAnswer, SpeakText, parameters_of
from intermodal.store.rows import Work

Answering = Callable[["RouteRun", Call], Awaitable[Finished]]
MAX_LINE = 300  # characters of a line: prosody suffers in longer ones, and progress is reported by line
_MAX_QUOTED_LETTERS = 12  # maximum number of unknown letters that a note names

_ENDS = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*\s+|\n+|(?<=[。！？])")
_PAUSES = re.compile(r"(?<=[,;:–—])\s+")
# Markdown syntax, which a voice would read out. Links keep their text; code stays. Repeated signs are never followed by
# the same sign, so each pattern examines a character only a few times, however long the text is.
_FENCE = "```"
_RULE = frozenset("|:- \t")
_BEGIN = re.compile(r"\s{0,3}(#{1,6}|>|[-*+])\s+")
_SIGNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?\)"), r"\1"),
    (re.compile(r"(\*\*|__|~~|`)"), ""),
    (re.compile(r"(?<!\w)\*(\S[^*]*)\*(?!\w)"), r"\1"),
)
# Those languages with known voices that are written in Latin script.
_LATIN = frozenset(("cs", "da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pl", "pt", "ro", "sv", "tr"))


# ---- text to speak ---------------------------------------------------------------------------------


def strip_markdown(text: str) -> str:
    """Return a model's answer without Markdown syntax.

    >>> strip_markdown("## Total\\n* **42** euros, see [the bill](http://a/b)")
    'Total\\n42 euros, see the bill'
    """
    text = "\n".join(filter(None, map(_plain_line, text.split("\n"))))
    for sign, instead in _SIGNS:
        text = sign.sub(instead, text)
    return text.strip()


def _plain_line(line: str) -> str:
    """Return a line without its leading marker and table separators; "" for a rule or a fence."""
    content = line.strip()
    if content.startswith(_FENCE) or ("---" in content and _RULE.issuperset(content)):
        return ""
    begin = _BEGIN.match(line)
    content = line[begin.end() :].strip() if begin is not None else content
    return ", ".join(cell.strip() for cell in content.strip("|").split("|")) if "|" in content else content


def speech_lines(text: str, longest: int = MAX_LINE) -> tuple[str, ...]:
    """Return the sentences of a text, one per line; long ones are split at a pause, else between words.

    A sentence without a letter or digit is left out: no voice has a sound for it.

    >>> speech_lines("Yes. It rains, and it is cold.\\n---\\nBye", longest=20)
    ('Yes.', 'It rains,', 'and it is cold.', 'Bye')
    """
    lines: list[str] = []
    for sentence in filter(None, _ENDS.split(strip_invisible(text))):
        lines += _split_line(" ".join(sentence.split()), longest)
    return tuple(line for line in lines if any(map(str.isalnum, line)))


def _split_line(line: str, longest: int) -> list[str]:
    if len(line) <= longest:
        return [line]
    pieces: list[str] = []
    for clause in _PAUSES.split(line):
        for piece in _split_at_words(clause, longest):
            if pieces and len(pieces[-1]) + 1 + len(piece) <= longest:
                pieces[-1] += f" {piece}"
            else:
                pieces.append(piece)
    return pieces


def _split_at_words(clause: str, longest: int) -> list[str]:
    pieces = [""]
    for word in clause.split(" "):
        if len(word) > longest:  # not a word of a language: an address, a hash
            cut = (len(word) - 1) // longest * longest
            pieces += [word[place : place + longest] for place in range(0, cut, longest)]
            word = word[cut:]
        if pieces[-1] and len(pieces[-1]) + 1 + len(word) > longest:
            pieces.append(word)
        else:
            pieces[-1] = f"{pieces[-1]} {word}".strip()
    return [piece for piece in pieces if piece]


def unknown_letters(text: str, languages: tuple[str, ...]) -> str:
    """Return the distinct letters that a voice of these languages spells out or skips; "" for other scripts."""
    if not languages or not _LATIN.issuperset(languages):
        return ""
    found = dict.fromkeys(letter for letter in text if letter.isalpha() and not letter.isascii())
    return "".join(letter for letter in found if not unicodedata.name(letter, "LATIN").startswith(_LATIN_NAMES))


_LATIN_NAMES = ("LATIN", "MODIFIER LETTER", "FEMININE ORDINAL", "MASCULINE ORDINAL", "MICRO SIGN")


# ---- the call that speaks --------------------------------------------------------------------------


async def speak(run: RouteRun, step: Call, answering: Answering) -> Finished:
    """Make the speaking call; ``answering`` first generates its text, if the route has such a call."""
    endpoint = run.state.endpoint(step)
    text_answer = await _answer_text(run, step, answering)
    text = await _input_text(run, step)
    lines = speech_lines(text if text_answer is None else strip_markdown(text))
    if not lines:
        raise errors.InputEmpty("there is nothing to speak", todo="give a text with words in it", step=step.id)
    output = run.state.request.output
    usual = output.voice if isinstance(output, SpeechOutput) else ""
    step_voice = SpeakText.parameters_of(step).voice
    voice = usual if step_voice is None else step_voice
    work = Work(characters=sum(map(len, lines)))
    try:
        finished_call = await run.do(CallJob(step=step, endpoint=endpoint, lines=lines, voice=voice, work=work))
    except Reroute as failure:
        if text_answer is None:
            raise
        raise failure.error from None  # its text was shown: no other model may answer differently
    await run.state.emit(StepFinished(actual=finished_call.actual))
    if text_answer is None:
        await run.state.emit(Committed(endpoint=step.endpoint))
    for remark in _speech_remarks(finished_call.result, " ".join(lines), endpoint.model.languages):
        await run.state.emit(Note(text=remark, step=step.id, warns=True))
    speech = await encode_speech(finished_call.result, step, output)
    if text_answer is None:
        return run.finished_event(step, speech=speech)
    return run.finished_event(
        step, speech=speech, endpoint=text_answer.endpoint, finish_reason=text_answer.finish_reason
    )


async def _answer_text(run: RouteRun, step: Call, answering: Answering) -> Finished | None:
    """Generate the text if a call of this route does; return None if the text is spoken as it is."""
    for name in input_steps(step):
        before = run.step(name)
        if isinstance(before, Call) and before.op == "generate":
            return await answering(run, before)
    return None


async def _input_text(run: RouteRun, step: Call) -> str:
    """Return all text that the inputs of the step stand for, in order."""
    found: list[str] = []
    for each in input_references(step):
        if isinstance(each, PartRef):
            found.append(run.state.opened_media.text(each.index))
            continue
        pieces = run.state.products[each.id].pieces
        found += [piece.text for piece in pieces if isinstance(piece, TextInput) and not is_empty(piece)]
    return "\n".join(found)


def _speech_remarks(result: CallResult, text: str, languages: tuple[str, ...]) -> list[str]:
    remarks = []
    if result.silent:
        left = ", ".join(f'"{line[:40]}"' for line in result.silent[:3])
        remarks.append(f"the voice has no sound for {len(result.silent)} of its lines, which are left out: {left}")
    letters = unknown_letters(text, languages)
    if letters:
        more = "..." if len(letters) > _MAX_QUOTED_LETTERS else ""
        remarks.append(
            f"the voice does not know {len(letters)} letters of the text and spells or skips them: "
            f"{letters[:_MAX_QUOTED_LETTERS]}{more}"
        )
    return remarks


def keep_for_voice(run: RouteRun, step: Call, text: str) -> None:
    """Pass the text of an answer to the voice step that follows, if there is one."""
    if not run.answers(step):
        run.state.products[step.id] = StepProduct(part=-1, pieces=(TextInput(text=text),))


# ---- a model that speaks by itself -----------------------------------------------------------------


def chat_output(run: RouteRun, step: Call) -> Output:
    """Return the output of a chat that is not JSON: text, or speech if requested and no voice step follows."""
    output = run.state.request.output
    if not isinstance(output, SpeechOutput) or not run.answers(step):
        return TextOutput()
    step_voice = GenerateAnswer.parameters_of(step).voice if step.op == "generate" else None
    return SpeechOutput(format=output.format, voice=output.voice if step_voice is None else step_voice)


async def native_speech(run: RouteRun, step: Call, result: CallResult) -> Speech | None:
    """Return the audio of an answer that its model spoke; None if text was requested or a voice follows.

    Raises OutputInvalid if the model sent no speech.
    """
    output = run.state.request.output
    if not isinstance(output, SpeechOutput) or not run.answers(step):
        return None
    if not result.pcm:
        raise errors.OutputInvalid(
            "answered in words and sent no speech",
            where=step.endpoint,
            todo=hint("let a voice speak the answer: leave {model} out, or name a model that speaks"),
            step=step.id,
        )
    return await encode_speech(result, step, output)


async def encode_speech(result: CallResult, step: Call, output: Output) -> Speech:
    """Return samples as a file in the requested format."""
    import anyio.to_thread

    from intermodal.protocols.openai_chat.codec import SPEECH_RATE

    parameters = parameters_of(step)
    planned = parameters.format if isinstance(parameters, GenerateAnswer | SpeakText) else ""
    output_format = planned or (output.format if isinstance(output, SpeechOutput) else "wav")
    seconds = round(len(result.pcm) / 2 / result.rate, 3) if result.rate else 0.0
    if output_format == "pcm16":
        data = await anyio.to_thread.run_sync(resample, result.pcm, result.rate, SPEECH_RATE)
        return Speech(data=data, media_type="audio/pcm", seconds=seconds)
    if output_format == "mp3":
        data = await anyio.to_thread.run_sync(mp3, result.pcm, result.rate)
        return Speech(data=data, media_type="audio/mpeg", seconds=seconds)
    return Speech(data=wav(result.pcm, result.rate), seconds=seconds)
