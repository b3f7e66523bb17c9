"""Child: an encoder with a head (BERT and similar) in ONNX.

Depending on the head, it returns label probabilities, rankings, words for a mask, or probabilities of arbitrary labels
by entailment.

A folder has the hub's layout: ``model.onnx``, in it or in ``onnx/``, beside ``tokenizer.json`` and ``config.json``. A
text longer than the model's context is split into windows: exclusive labels get the mean over windows, weighted by
tokens; independent labels and passages get the best window (MaxP of Dai and Callan, "Deeper Text Understanding for IR",
SIGIR 2019). Entailment follows transformers' zero-shot pipeline (Yin et al., "Benchmarking Zero-shot Text
Classification", EMNLP 2019), with the mean over windows of each label. Text beyond the last window is truncated, and
counted as cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from intermodal.catalog.encoder_heads import context_of_config, encoder_head
from intermodal.catalog.model_folders import MAX_CONFIG, onnx_files
from intermodal.concurrency.worker_process import serve
from intermodal.errors import RuntimeCrashed, UsageError, WeightsError
from intermodal.local.embedded.child_support import import_library, load_model, without_nul
from intermodal.local.embedded.onnx_session import cast_to_input, load_tokenizer, open_session, read_json

BATCH: Final = 16  # windows per batch
WINDOWS: Final = 64  # maximum number of windows per text
_CHARACTERS: Final = 16  # maximum characters per token; text beyond the resulting limit is not tokenised
_GIVEN: Final = ("input_ids", "attention_mask", "token_type_ids")
_LOGITS: Final = "logits"
_MASKS: Final = ("[MASK]", "<mask>")
SHOWN: Final = 10  # words for a mask, by default

_model: EncoderModel | None = None


class EncoderModel:
    """A loaded encoder."""

    def __init__(self, folder: Path) -> None:
        self._numpy = import_library("numpy")
        config = read_json(folder / "config.json", MAX_CONFIG)
        self.head = encoder_head(config)
        if not self.head.kind:
            raise WeightsError(self.head.why, where=folder.name, todo="take a model with a head for labels or ranking")
        self._tokens = load_tokenizer(folder)
        self._tokens.no_padding()
        self.most = context_of_config(config)
        self._pad = self._padding(config)
        file = onnx_files(folder).combined
        if file is None:
            raise WeightsError("has no model.onnx", where=folder.name, todo="take the ONNX files of its repository")
        self._session = open_session(file)
        self._wanted = {each.name: each for each in self._session.get_inputs()}
        strange = [name for name in self._wanted if name not in _GIVEN]
        if strange or "input_ids" not in self._wanted:
            what = f"requires the input {strange[0]}, which is not provided" if strange else "takes no input_ids"
            raise WeightsError(what, where=file.name, todo="export it in the usual form")
        self._output = self._logits(file)

    # ---- answers ----------------------------------------------------------------------------------

    def classify(self, text: str) -> dict[str, Any]:
        """Return the probability of each label of the head."""
        self._must_be("labels", "no labels")
        windows, cut = self._windows([(text,)])
        rows = windows[0]
        logits = self._run(rows)
        numpy = self._numpy
        if self.head.several:
            scores = (1 / (1 + numpy.exp(-numpy.clip(logits, -500, 500)))).max(axis=0)
        else:
            scores = self._mean(_softmax(logits, numpy), rows)
        return self._reply(rows, cut, scores=[float(each) for each in scores], labels=list(self.head.labels))

    def rank(self, query: str, texts: list[str]) -> dict[str, Any]:
        """Return the relevance of each text to the query, 0 to 1."""
        self._must_be("rank", "no number that ranks")
        query_tokens, shortened = self._query(query)
        windows, cut = self._windows([(query_tokens, text) for text in texts])
        rows = [row for each in windows for row in each]
        logits = self._run(rows)[:, 0]
        scores, at = [], 0
        for each in windows:
            best = float(logits[at : at + len(each)].max())
            scores.append(1 / (1 + math.exp(-max(-500.0, min(500.0, best)))))
            at += len(each)
        return {**self._reply(rows, cut, scores=scores, labels=[]), "query_cut": shortened}

    def entail(self, text: str, sentences: list[str], *, independent: bool = False) -> dict[str, Any]:
        """Return the probability of each sentence, as a softmax over the entailment logits of all sentences.

        If ``independent``, or for a single sentence, it is entailment against contradiction.
        """
        self._must_be("entails", "no entailment")
        windows, cut = self._windows([(text, each) for each in sentences], whole="second")
        rows = [row for each in windows for row in each]
        logits = self._run(rows)
        numpy, means, at = self._numpy, [], 0
        for each in windows:
            means.append(self._mean(logits[at : at + len(each)], each))
            at += len(each)
        contradicts, entails = self.head.entailment
        found = numpy.stack(means)
        if len(sentences) > 1 and not independent:
            scores = _softmax(found[:, entails], numpy)
        else:
            scores = _softmax(found[:, [contradicts, entails]], numpy)[:, 1]
        return self._reply(rows, min(cut, 1), scores=[float(each) for each in scores], labels=sentences) | {
            "windows": max(map(len, windows))
        }

    def fill(self, text: str, labels: list[str]) -> dict[str, Any]:
        """Return the probabilities of words for a mask: of the given labels, or of the most likely words."""
        self._must_be("words", "no words for a mask")
        mark = next((each for each in _MASKS if self._tokens.token_to_id(each) is not None), "")
        for each in _MASKS:
            text = text.replace(each, mark)
        self._tokens.enable_truncation(self.most)
        row = self._tokens.encode(text)
        number = self._tokens.token_to_id(mark) if mark else None
        places = [at for at, each in enumerate(row.ids) if each == number]
        if len(places) != 1:
            what = "has no mask token in the text" if not places else f"has {len(places)} masks"
            raise UsageError(f"the text {what}", todo=f"write one {mark or _MASKS[0]} where the word is to be")
        chances = _softmax(self._run([row])[:, places[0]], self._numpy)[0]
        if labels:
            ids = [self._token_id_of(each) for each in labels]
            scores, names = [float(chances[each]) for each in ids], labels
        else:
            words = self._likeliest(chances)
            scores, names = list(words.values()), list(words)
        return self._reply([row], len(row.overflowing) > 0, scores=scores, labels=names)

    def _likeliest(self, chances: Any) -> dict[str, float]:
        """Return the most likely words with their probabilities. Tokens without visible text are skipped."""
        found: dict[str, float] = {}
        for each in self._numpy.argsort(-chances)[: 4 * SHOWN]:
            word = self._tokens.decode([int(each)]).strip()
            if word and word not in found and len(found) < SHOWN:
                found[word] = float(chances[each])
        return found

    def _token_id_of(self, label: str) -> int:
        """Return the token id of a word. Raises UsageError if the word is not a single token."""
        for spelling in (f" {label}", label):
            ids = self._tokens.encode(spelling, add_special_tokens=False).ids
            if len(ids) == 1:
                return int(ids[0])
        raise UsageError(f"{label!r} is more than one token of this model", todo="use words that are single tokens")

    def _must_be(self, kind: str, what: str) -> None:
        if self.head.kind != kind:
            raise RuntimeCrashed(f"has {what}", todo="name a model that has")

    def _reply(self, rows: list[Any], cut: int, *, scores: list[float], labels: list[str]) -> dict[str, Any]:
        if not all(map(math.isfinite, scores)):
            raise RuntimeCrashed("the model returned a score that is not a number", todo="fetch its weights again")
        return {
            "scores": scores, "labels": labels, "tokens": sum(len(row.ids) for row in rows), "windows": len(rows),
            "cut": int(cut),
        }  # fmt: skip

    # ---- tokens -----------------------------------------------------------------------------------

    def _query(self, query: str) -> tuple[str, bool]:
        """Return the query truncated to half of the context, and whether it was truncated."""
        self._tokens.no_truncation()
        row = self._tokens.encode(query[: self.most * _CHARACTERS], add_special_tokens=False)
        most = self.most // 2
        if len(row.ids) <= most and len(query) <= self.most * _CHARACTERS:
            return query, False
        return query[: row.offsets[min(most, len(row.ids)) - 1][1]], True

    def _mean(self, numbers: Any, rows: Sequence[Any]) -> Any:
        """Return the mean over the windows of a text, weighted by their token counts."""
        weights = self._numpy.array([len(row.ids) for row in rows], dtype="float64")
        return (numbers * (weights / weights.sum())[:, None]).sum(axis=0)

    def _windows(
        self, texts: Sequence[tuple[str, ...]], *, whole: Literal["first", "second"] = "first"
    ) -> tuple[list[list[Any]], int]:
        """Return the windows of each text or pair, and the number of texts that extend beyond the last window.

        In pairs, the text named by ``whole`` is repeated in every window.
        """
        split = "only_second" if whole == "first" else "only_first"
        self._tokens.enable_truncation(self.most, strategy="longest_first" if len(texts[0]) == 1 else split)
        most = self.most * _CHARACTERS * WINDOWS
        found, cut = [], 0
        for text in texts:
            row = self._tokens.encode(*(without_nul(each[:most]) for each in text))
            every = [row, *row.overflowing]
            cut += len(every) > WINDOWS or max(map(len, text)) > most
            found.append(every[:WINDOWS])
        return found, cut

    def _run(self, rows: list[Any]) -> Any:
        """Return the logits of windows, batched by length."""
        numpy = self._numpy
        order = sorted(range(len(rows)), key=lambda at: len(rows[at].ids))
        logits_by_row: list[Any] = [None] * len(rows)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            longest = max(len(rows[at].ids) for at in some)
            columns = {
                "input_ids": [_pad(rows[at].ids, longest, self._pad) for at in some],
                "attention_mask": [_pad(rows[at].attention_mask, longest, 0) for at in some],
                "token_type_ids": [_pad(rows[at].type_ids, longest, 0) for at in some],
            }
            inputs = {
                name: cast_to_input(numpy.array(columns[name], dtype="int64"), each)
                for name, each in self._wanted.items()
            }
            for at, logits in zip(some, self._session.run([self._output], inputs)[0], strict=True):
                logits_by_row[at] = numpy.asarray(logits, dtype="float64")
        found = numpy.stack(logits_by_row)
        count = len(self.head.labels)
        labels = {"labels": count, "entails": count, "rank": 1}.get(self.head.kind)
        if labels is not None and found.shape[1:] != (labels,):
            raise WeightsError(
                f"outputs {'x'.join(map(str, found.shape[1:])) or 1} numbers for a text, "
                f"but config.json states {labels}",
                where="model.onnx", todo="take both from the same place",
            )  # fmt: skip
        return found

    # ---- loading ----------------------------------------------------------------------------------

    def _padding(self, config: dict[str, Any]) -> int:
        stated_token = config.get("pad_token_id")
        return stated_token if isinstance(stated_token, int) and stated_token >= 0 else 0

    def _logits(self, file: Path) -> str:
        output_names = [output.name for output in self._session.get_outputs()]
        if _LOGITS in output_names:
            return _LOGITS
        if len(output_names) == 1 and output_names[0] not in (
            "last_hidden_state",
            "pooler_output",
            "sentence_embedding",
        ):
            return str(output_names[0])
        raise WeightsError(
            f"outputs {', '.join(output_names)}, but no logits", where=file.name,
            todo="export it with its head, as optimum does for text-classification",
        )  # fmt: skip


def _pad(values: list[int], length: int, by: int) -> list[int]:
    return values + [by] * (length - len(values))


def _softmax(logits: Any, numpy: Any) -> Any:
    powers = numpy.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def load(path: str, name: str) -> dict[str, Any]:
    """Load the model (once). Returns the kind and labels of its head."""
    global _model
    if _model is None:
        _model = load_model(name, lambda: EncoderModel(Path(path)))
    return {"head": _model.head.kind, "labels": list(_model.head.labels), "several": _model.head.several}


def classify(path: str, name: str, text: str) -> dict[str, Any]:
    """Return the probabilities of the head's labels."""
    load(path, name)
    assert _model is not None
    return _model.classify(text)


def rank(path: str, name: str, query: str, texts: list[str]) -> dict[str, Any]:
    """Return the relevance of texts to a query."""
    load(path, name)
    assert _model is not None
    return _model.rank(query, texts)


def entail(path: str, name: str, text: str, sentences: list[str], independent: bool = False) -> dict[str, Any]:
    """Return the probabilities of sentences by entailment."""
    load(path, name)
    assert _model is not None
    return _model.entail(text, sentences, independent=independent)


def fill(path: str, name: str, text: str, labels: list[str]) -> dict[str, Any]:
    """Return the probabilities of words for a mask."""
    load(path, name)
    assert _model is not None
    return _model.fill(text, labels)


if __name__ == "__main__":
    serve({"load": load, "classify": classify, "rank": rank, "fill": fill, "entail": entail})
