"""Find problems of prompt files before they are run, for editors and CI.

Plans nothing, and reads only the beginning of media files next to the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from intermodal.catalog.load import load_snapshot
from intermodal.catalog.snapshot.file import SnapshotRow
from intermodal.catalog.snapshot.interpretation import agreed_capabilities
from intermodal.core.content import Text, Value
from intermodal.cost_model.tokens import text_tokens
from intermodal.errors import InputError, InputMissing, IntermodalError, PromptError
from intermodal.plans.numbers import plain_money
from intermodal.prompts import formats, sample_arguments
from intermodal.prompts.prompt import NOTHING
from intermodal.prompts.prompt_file import Level, PromptFile, error_location, model_names

_TAKEN_WHOLE = ("image", "audio", "video")


class LintFinding(Value):
    """A problem of a file. ``line``: from 1, 0 if it concerns the whole file."""

    file: str
    line: int
    level: Level
    what: str
    todo: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.level}: {self.what}{f'; {self.todo}' if self.todo else ''}"


class LintReport(Value):
    """The checked files, and their problems. ``prompts``: number of prompts in the files."""

    files: int
    prompts: int
    found: tuple[LintFinding, ...] = ()

    @property
    def errors(self) -> int:
        return sum(each.level == "error" for each in self.found)

    @property
    def warnings(self) -> int:
        return len(self.found) - self.errors


def lint(places: Iterable[Path]) -> LintReport:
    """Check files, and all prompt files in folders. Raises InputMissing for a path that does not exist."""
    files = prompts = 0
    found: list[LintFinding] = []
    for path in _files(places):
        files += 1
        try:
            some = formats.prompts_of(path)
        except PromptError as error:
            found.append(_of_error(path, error))
            continue
        prompts += len(some)
        for each in some:
            found += _prompt_findings(each)
    return LintReport(
        files=files, prompts=prompts, found=tuple(dict.fromkeys(found))
    )  # files of one BAML project share findings


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from formats.files_in(place)
        elif not place.exists():
            raise InputMissing("is not there", where=str(place), todo="name a prompt file, or a folder of them")
        else:
            yield place


def _prompt_findings(file: PromptFile) -> Iterator[LintFinding]:
    for each in file.findings:
        yield LintFinding(file=file.path, line=each.line, level=each.level, what=each.what, todo=each.todo)
    rows = _rows(file)
    yield from _of_media(file, rows)
    try:
        messages = sample_arguments.render_sample(file)
    except InputError:
        raise
    except IntermodalError as error:
        yield _of_error(Path(file.path), error)
    else:
        if messages is None:
            return
        if (
            not any(message.parts for message in messages)
            and not file.history
            and all(argument.required for argument in file.arguments)
        ):  # whatever is given
            yield _error(file, "template", *NOTHING)
        letters = sum(len(part.text) for each in messages for part in each.parts if isinstance(part, Text))
        yield from _of_size(file, rows, letters)


# ---- the model that a file names, by published data --------------------------------------------------------


def _rows(file: PromptFile) -> tuple[SnapshotRow, ...]:
    """Return the model that a file names, at each host that publishes it; () if the data does not contain it."""
    if not file.model:
        return ()
    models = load_snapshot()
    rows = next((some for name in model_names(file.model) if (some := models.names.pick(name.strip().lower()))), [])
    return tuple(row for id in {each.id for each in rows} for row in models.by_model[id])


def _of_media(file: PromptFile, rows: tuple[SnapshotRow, ...]) -> Iterator[LintFinding]:
    """Yield an error for each modality of the prompt that its model does not accept.

    Yields none if the accepted modalities are unknown. Documents are converted for any model.
    """
    kinds = [kind for kind in file.media if kind in _TAKEN_WHOLE]
    takes = agreed_capabilities(rows).input if kinds else ()
    for kind in kinds:
        if takes and kind not in takes:
            argument = next(each for each in file.arguments if kind in each.media)
            is_ = "is" if argument.is_media else "holds"
            what = f"{file.model} takes {' and '.join(takes)}, and {argument.name} {is_} {kind}"
            todo = "name a model that takes it, or none: then the plan chooses one, or a conversion"
            yield _error(file, "model", what, todo)


def _of_size(file: PromptFile, rows: tuple[SnapshotRow, ...], letters: int) -> Iterator[LintFinding]:
    """Yield errors for a text that exceeds the model's context, or costs more than the file allows.

    Both are lower bounds: fewest tokens, no media, no output, and the host with the largest context or the lowest
    price. Arguments are samples.
    """
    tokens = text_tokens(letters)
    contexts = [max(row.context or 0, row.window or 0) for row in rows]
    if rows and all(contexts) and tokens.low > max(contexts):
        what = f"the text has {tokens.low:,.0f} tokens or more, and {file.model} holds {max(contexts):,}"
        yield _error(file, "template", what, "write less, or name a model that holds more")
    most, prices = file.options.get("max_cost"), [row.price_in for row in rows]
    known = [price for price in prices if price is not None]
    if most is None or not known or len(known) < len(prices):
        return
    least = tokens.low * min(known) / 1e6
    if least > most:
        what = f"a run costs ${plain_money(least)} or more with {file.model}, and max_cost is ${plain_money(most)}"
        yield _error(file, "max_cost", what, "raise max_cost, write less, or name a cheaper model")


def _error(file: PromptFile, place: str, what: str, todo: str) -> LintFinding:
    return LintFinding(file=file.path, line=file.lines.get(place, 1), level="error", what=what, todo=todo)


def _of_error(path: Path, error: IntermodalError) -> LintFinding:
    file, line = error_location(error)
    wording = error.wording_for("command line")
    return LintFinding(file=file or str(path), line=line, level="error", what=wording.what, todo=wording.todo)
