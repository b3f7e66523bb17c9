"""``PlanningCase``: a request as the planner reads it, with labels, needs, names and rates resolved once per plan."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.reasoning_effort import ThinkingRequest, thinking_request_of
from intermodal.catalog.schema_enforcement import SchemaDelivery, is_closable, schema_delivery
from intermodal.catalog.types import Catalog, Endpoint, Model
from intermodal.core.content import KINDS, Image, ImageDetail, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from intermodal.core.hints import hint, setting
from intermodal.core.quantity import Quantity
from intermodal.core.request import (
    EmbeddingOutput,
    ImageOutput,
    JsonOutput,
    Output,
    Policy,
    Request,
    Sampling,
    ScoresOutput,
    SpeechOutput,
    TranscriptOutput,
    without_schema,
)
from intermodal.cost_model.answer_length import AnswerLength, kind_of_request, typical_length
from intermodal.cost_model.levels import ZEROS, Levels, add_levels, levels
from intermodal.cost_model.rates import MediaRates, Rates, endpoint_rates, known_rates, media_rates, reasoning_tokens
from intermodal.cost_model.token_rules import TokenRules
from intermodal.cost_model.tokens import Vocabulary, text_part_tokens
from intermodal.cost_model.tool_tokens import schema_tokens, tool_tokens
from intermodal.errors import UsageError
from intermodal.planner.catalog_index import ENCODER as _ENCODER
from intermodal.planner.catalog_index import CatalogIndex, EndpointGroup, Job, canonical_json, catalog_index
from intermodal.planner.conversion.page_relevance import named_pages
from intermodal.planner.eligibility.privacy_labels import is_private, label_matches, same_name
from intermodal.planner.part_bundles import Bundle, make_bundles
from intermodal.planner.route_estimates.image_generation import check_image_settings, drawing_memory
from intermodal.planner.route_estimates.voice import Voice
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import Facts, PartFacts, QuestionFacts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import INPUTS_VERSION
from intermodal.plans.statistics import NO_STATISTICS, Statistics
from intermodal.plans.verdict import Judged, joined_names
from intermodal.questions.keyword_needs import lower_words, needs_from_keywords
from intermodal.questions.word_requests import with_words_alone

TURN = (ToolCall, ToolResult, Reasoning, Refusal, Opaque)  # parts of a conversation that are sent unchanged
QUESTION_CHARS = 4_000  # maximum characters of the question that are searched for keywords
WORDS_ALONE: tuple[Job, ...] = ("embed", "speak", "draw")  # jobs that use only the words of files, without block labels


class PlanningCase(Struct):
    """The inputs of rules and cost formulas, resolved once per plan.

    Attributes:
        text_files: texts given as files, each of which gets a label.
        question_parts: texts passed to describers of images. question_private: whether one of them is private.
        asked: what the question needs of each medium.
        named_endpoints: endpoint ids that ``Policy.model`` matches; None if no model is named.
        statistics: extended with those of the same model at other endpoints (``cost_model/sibling_statistics.py``).
        measured: endpoints with statistics of real runs. informed: those, and endpoints whose model was measured
            elsewhere. loaded: endpoints whose model is in memory.
        schema_chars: characters of the answer's schema, 0 without one.
        evident: whether the values of the answer are checked against the files.
        special: by group, the endpoints known beyond the catalog.
        closable: whether hosts can enforce the schema (``schema_enforcement.py``).
        answer_kind: the kind of answer (``cost_model/answer_length.py``), "json" with a schema.
        typical_answer: tokens of an answer if nothing was learned.
        ranked_answer: answer tokens used by ranking for time, without reasoning and limits. paid_answer: answer tokens
            used for the price.
        pages_in: the vocabulary whose factors estimate the text of pages: that of the named model, "" for any.
        answer_limit: limit of answer tokens stated in the request; infinite if none.
        effort: the requested reasoning effort.
        labels: tokens of the labels to score, each as a sentence.
        voice: the endpoint that speaks a text answer, chosen before the search; None if not needed.
        vocabularies: tokenizers that counted part of this request or its tools.
        tight: whether no endpoint allows an answer as long as the request permits within context, cost and time, so
            that it is shortened.
        hopeful: whether no endpoint certainly has room for the tools, whose token count is unknown, so that their low
            estimate is used.
        judged: cached verdict on the parts by conversion option.
        translating: target language of a translation by the answering model, "" for none
            (``planner/speech_translation.py``).
        hopeful_images: as ``hopeful``, for images, if every endpoint that certainly has room loses needed aspects.
    """

    request: Request
    facts: Facts
    index: CatalogIndex
    machine: Machine
    statistics: Statistics
    as_of: str
    job: Job
    output: str
    texts: list[PartFacts]
    text_files: list[PartFacts]
    private_text: str
    question_parts: list[PartFacts]
    question_private: bool
    bundles: list[Bundle]
    ignored: tuple[str, ...]
    question: str
    question_facts: QuestionFacts
    named_pages: frozenset[int]
    named_endpoints: frozenset[str] | None
    consented: frozenset[str]
    measured: frozenset[str]
    informed: frozenset[str]
    special: dict[int, set[str]]
    loaded: frozenset[str]
    languages: frozenset[str]
    schema_chars: int
    evident: bool
    closable: bool
    labels: float
    typical_answer: AnswerLength
    answer_kind: str
    ranked_answer: float
    paid_answer: float
    answer_limit: float
    pages_in: str
    effort: ThinkingRequest
    vocabularies: frozenset[str]
    text_cache: dict[Vocabulary, Levels]
    framings: dict[tuple[str, str, Vocabulary], Levels]
    rates_cache: dict[str, Rates]
    assignments: dict[object, object]
    page_worth: dict[int, list[float]]
    judged: dict[object, Judged]
    rates_of_media: MediaRates
    voice: Voice | None
    tight: bool = False
    hopeful: bool = False
    hopeful_images: bool = False
    translating: str = ""

    @property
    def policy(self) -> Policy:
        return self.request.policy

    @property
    def into(self) -> str:
        """Return the language into which transcribers translate, "" for none."""
        target = self.policy.translate
        return "" if self.translating or self.languages == {target} else target

    @property
    def without_free_tiers(self) -> str:
        """Return the objective that excludes rationed free tiers, "" if they are allowed."""
        policy = self.policy
        return policy.objective if policy.objective in ("best", "cheapest") and not policy.free_tiers else ""

    @property
    def is_replanning(self) -> bool:
        """Return whether the request is replanned during a run."""
        return any(part.outcomes for part in self.facts.parts)

    def shares_question(self, describer: Endpoint) -> bool:
        """Return whether a describer gets the question. A private question stays on this machine."""
        return not self.question_private or is_local(describer)

    def rates(self, endpoint: Endpoint) -> Rates:
        """Return the rates of an endpoint, including figures of earlier runs.

        For a local diffusion model, the memory is that of an image of the requested size.
        """
        found = self.rates_cache.get(endpoint.id)
        if found is None:
            if endpoint.id in self.informed:
                found = endpoint_rates(endpoint, self.statistics, self.as_of, self.effort)
            else:
                found = known_rates(endpoint, self.as_of, self.effort)
            if self.job == "draw" and found.diffusion is not None:
                memory = drawing_memory(found.diffusion, found.memory, self.request, self.facts)
                found = msgspec.structs.replace(found, memory=memory)
            self.rates_cache[endpoint.id] = found
        return found

    def reasoning_tokens(self, endpoint: Endpoint, effort: ThinkingRequest) -> tuple[Quantity, float]:
        """Return the reasoning tokens of an endpoint, and the room for them in the answer's limit."""
        return reasoning_tokens(endpoint, self.statistics if endpoint.id in self.informed else NO_STATISTICS, effort)

    def token_rules(self, group: EndpointGroup) -> TokenRules:
        """Return the token rules of a group."""
        return group.rules_by_day.get(self.as_of) or self.index.token_rules(group, self.as_of)

    def schema_by(self, group: EndpointGroup) -> SchemaDelivery | Literal[""]:
        """Return how the answer's schema reaches a group, "" without a schema."""
        return schema_delivery(group.first.host, self.closable) if self.schema_chars else ""

    def schema_instruction_tokens(self, vocabulary: Vocabulary) -> Levels:
        """Return the tokens of the schema instruction.

        It is used if the host enforces the schema without showing it to the model.
        """
        return levels(schema_tokens(self.facts.schema, self.request.output, vocabulary))

    def tool_rule(self, group: EndpointGroup) -> str:
        """Return the rule by which a group counts tool definitions, "" if the request has no tools."""
        return self.index.sheet(group, self.as_of).rules.get("tools", "") if self.request.tools else ""

    def tools(self, rule: str, vocabulary: Vocabulary) -> Quantity:
        """Return the tokens of the tool definitions under a rule and a vocabulary."""
        request = self.request
        return tool_tokens(rule, request.tools, request.tool_choice, self.facts.tools, vocabulary)

    def token_rules_of(self, endpoint: Endpoint) -> TokenRules:
        """Return the token rules of an endpoint."""
        return self.index.token_rules(self.index.group_of[endpoint.id], self.as_of)

    def vocabulary(self, model: Model) -> Vocabulary:
        """Return how to count a model's text: by its own vocabulary if that counted any text here, else by factors."""
        return Vocabulary(model.tokenizer if model.tokenizer in self.vocabularies else "", model.vocabulary)

    def is_unreadable(self, script: str) -> bool:
        """Return whether this is a detected script that no local reader supports."""
        return bool(script) and (self.facts.scripts is None or script not in self.facts.scripts.read)

    def text_tokens(self, vocabulary: Vocabulary) -> Levels:
        """Return the tokens of all text parts under a vocabulary."""
        found = self.text_cache.get(vocabulary)
        if found is None:
            found = ZEROS
            for part in self.texts:
                found = add_levels(found, levels(text_part_tokens(part, vocabulary)))
            self.text_cache[vocabulary] = found
        return found


def make_case(
    request: Request, facts: Facts, catalog: Catalog, machine: Machine, statistics: Statistics, as_of: str
) -> PlanningCase:
    """Resolve a request, its facts and the catalog into a ``PlanningCase``.

    Raises:
        UsageError: a label or page matches nothing, pages are selected but no part has pages, a transcript does not
            have exactly one recording, there is no content, or labels are missing and not exactly one classifier has
            its own.
        UnknownModel: ``Policy.model`` matches no model, or several.
    """
    policy = request.policy
    if len(facts.parts) != sum(len(message.parts) for message in request.messages):
        raise UsageError("facts and parts of the request differ in number", todo="probe the request again")
    if not facts.parts:
        raise UsageError("nothing was asked", todo="give a prompt, a file, or both")
    check_labels(policy, facts)
    check_pages(policy, facts)
    check_translate(policy, facts)
    job, output = _job(request)
    if request.tools and job != "generate":
        raise UsageError(f"tools go with an answer, and {_NO_ANSWER[job]} is wanted", todo="leave the tools out")
    if job == "draw":
        check_image_settings(request, facts)
    question = question_of(request)
    question_facts = facts.question or _needs_without_model(question, facts)
    if output != "text":
        question_facts = msgspec.structs.replace(question_facts, words_alone=())
    texts, files, media = _split_parts(request, facts)
    question_parts = _question_parts(request, facts)
    ignored: tuple[str, ...] = ()
    if job == "transcribe":
        media, ignored = _recording(media, texts)
        texts = []
    index = catalog_index(catalog)
    loaded = frozenset(machine.loaded)
    learned_endpoints = frozenset(key.partition("|")[0] for key in statistics.rows)
    statistics = index.with_sibling_statistics(statistics)
    informed = frozenset(key.partition("|")[0] for key in statistics.rows)
    json_schema = request.output.schema if isinstance(request.output, JsonOutput) else None
    schema = len(msgspec.json.encode(json_schema)) if json_schema is not None else 0
    kind = kind_of_request(request)
    length = request.answer_tokens
    typical = typical_length(kind) if length is None else AnswerLength(*(3 * (float(length),)))
    named_endpoints = frozenset(e.id for e in resolve_name(catalog, policy.model)) if policy.model else None
    check_own_labels(request, catalog, named_endpoints)
    return PlanningCase(
        request=request, facts=facts, index=index, machine=machine, statistics=statistics, as_of=as_of,
        job=job, output=output, texts=texts, text_files=files,
        private_text=next((t.name for t in texts if is_private(policy, t)), ""),
        question_parts=question_parts, question_private=any(is_private(policy, text) for text in question_parts),
        bundles=make_bundles(media, policy, question_facts, labelled=job == "score"), ignored=ignored,
        question=question, question_facts=question_facts, named_pages=named_pages(question),
        named_endpoints=named_endpoints, consented=frozenset((*catalog.consent, *policy.hosts)),
        measured=learned_endpoints, informed=informed,
        special=_special(index, informed | loaded | {request.previous_endpoint}),
        loaded=loaded,
        languages=frozenset(policy.language.split()) | frozenset(p.language for p, _ in media if p.language),
        schema_chars=schema, evident=bool(schema) and policy.evidence != "off" and bool(files or media),
        closable=json_schema is None or is_closable(json_schema), labels=_label_tokens(request.output),
        typical_answer=typical, answer_kind=kind, ranked_answer=typical.mid if job == "generate" else 0.0,
        paid_answer=typical.mean if job == "generate" else 0.0,
        answer_limit=_stated_limit(request.sampling), pages_in=_shared_vocabulary(catalog, named_endpoints),
        effort=thinking_request_of(request.settings),
        vocabularies=frozenset(name for text in texts for name in text.tokens) | _counted_beside(facts),
        text_cache={}, framings={}, rates_cache={}, assignments={}, page_worth={}, judged={},
        rates_of_media=media_rates(statistics), voice=None,
    )  # fmt: skip


def _shared_vocabulary(catalog: Catalog, endpoint_ids: frozenset[str] | None) -> str:
    """Return the vocabulary shared by the named endpoints, "" if none is named or they differ."""
    found = {catalog.by_id[id].model.vocabulary for id in endpoint_ids or ()}
    return found.pop() if len(found) == 1 else ""


def _stated_limit(sampling: Sampling) -> float:
    """Return the limit of an answer including its reasoning; infinite if only its words are limited."""
    limit = None if sampling.room_for_thought else sampling.max_tokens
    return math.inf if limit is None else float(limit)


_NO_ANSWER: dict[str, str] = {
    "transcribe": "a transcript", "embed": "an embedding", "score": "scores", "speak": "speech word by word",
}  # fmt: skip


def _counted_beside(facts: Facts) -> frozenset[str]:
    """Return the vocabularies that counted the tools or the schema instruction."""
    tools = (*facts.tools.tokens, *facts.tools.rendered) if facts.tools is not None else ()
    return frozenset((*tools, *(facts.schema.tokens if facts.schema is not None else ())))


def _label_tokens(output: Output) -> float:
    return sum(6 + len(label) / 4 for label in output.labels) if isinstance(output, ScoresOutput) else 0.0


def _special(catalog_index: CatalogIndex, ids: frozenset[str]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for each in ids:
        group = catalog_index.group_of.get(each)
        if group is not None:
            found.setdefault(group.number, set()).add(each)
    return found


def check_labels(policy: Policy, facts: Facts) -> None:
    """Raise UsageError for a label that matches no part.

    A misspelt label would otherwise leak the part that it should protect.
    """
    if not policy.private and not policy.release:
        return
    names = [name for part in facts.parts for name in (part.name, *part.origins)]
    pairs = []
    for pair in policy.release:
        label, colon, kind = pair.rpartition(":")
        if not colon or kind not in KINDS:
            raise UsageError(f"{pair} releases nothing", where=setting("release"), todo="write it as audio:text")
        pairs.append((setting("release"), label))
    fits = {setting("private"): label_matches, setting("release"): same_name}
    for option, label in [*((setting("private"), label) for label in policy.private), *pairs]:
        if label not in KINDS and not any(fits[option](label, name) for name in names):
            raise UsageError(
                f"no part is named {label}", where=option,
                todo=f"name a kind ({', '.join(KINDS)}), one of the files, or a part as the plan calls it",
            )  # fmt: skip


def check_own_labels(request: Request, catalog: Catalog, named_endpoints: frozenset[str] | None) -> None:
    """Raise UsageError if labels are missing, unless exactly one classifier has its own."""
    output = request.output
    if not isinstance(output, ScoresOutput) or output.labels:
        return
    classifiers = [each.id for each in catalog.endpoints if each.model.classifies and each.ready]
    classifiers = (
        classifiers if named_endpoints is None else [each for each in catalog.by_id if each in named_endpoints]
    )
    if not classifiers:
        raise UsageError(
            "scores need labels to be held against, and no classifier that has its own is here",
            where="scores", todo=hint("give some: {labels=}", "invoice,letter,photo"),
        )  # fmt: skip
    if len(classifiers) > 1:
        raise UsageError(
            f"{joined_names(classifiers)} have labels of their own", where="scores",
            todo=hint("name one of them ({model}), or give labels ({labels})"),
        )  # fmt: skip


def check_pages(policy: Policy, facts: Facts) -> None:
    """Raise UsageError if pages are selected and no part has pages."""
    if policy.pages and not any(part.pages or part.page for part in facts.parts):
        raise UsageError("nothing here has pages to choose from", where=setting("pages"), todo="leave it out")


def check_translate(policy: Policy, facts: Facts) -> None:
    """Raise UsageError if a translation of speech is requested and there is no speech."""
    has_speech = any(part.kind == "audio" or (part.kind == "video" and part.channels) for part in facts.parts)
    if policy.translate and not has_speech:
        raise UsageError("nothing here is spoken, so there is nothing to translate", where=setting("translate"),
                         todo="leave it out, or add a recording; words are translated by asking for it")  # fmt: skip


def _job(request: Request) -> tuple[Job, str]:
    output = request.output
    if isinstance(output, TranscriptOutput):
        return "transcribe", "transcript"
    if isinstance(output, EmbeddingOutput):
        return "embed", "embedding"
    if isinstance(output, ScoresOutput):
        return "score", "scores"
    if isinstance(output, ImageOutput):
        return "draw", "image"
    if isinstance(output, SpeechOutput):
        return ("speak" if output.verbatim else "generate"), "speech"
    return "generate", "json" if isinstance(output, JsonOutput) else "text"


def question_of(request: Request) -> str:
    """Return the user's words in the last message, or both ends of a long text.

    During tool calls, an earlier message is used. Media of tool results are in a later message without words, which is
    skipped.
    """
    text = ""
    for place, message in reversed(list(enumerate(request.messages))):
        if any(isinstance(part, TURN) for part in message.parts):
            continue
        text = " ".join(part.text for part in message.parts if isinstance(part, Text) and not part.name)
        before = request.messages[place - 1].parts if place else ()
        if text or not any(isinstance(part, ToolResult) for part in before):
            break
    return question_excerpt(without_schema(text, request.output))


def _needs_without_model(question: str, facts: Facts) -> QuestionFacts:
    """Return the needs indicated by keywords of the question."""
    found = needs_from_keywords(question)
    return with_words_alone(found, question) if any(part.kind != "text" for part in facts.parts) else found


def question_excerpt(text: str) -> str:
    """Return the text that is examined for needs: all of it, or both ends of a long one."""
    half = QUESTION_CHARS // 2
    return text if len(text) <= QUESTION_CHARS else f"{text[:half]} {text[-half:]}"


def _question_parts(request: Request, facts: Facts) -> list[PartFacts]:
    """Return the texts of the last message, which describers of images receive.

    See ``executor/conversion/image_descriptions.py``.
    """
    last = request.messages[-1].parts
    found = facts.parts[len(facts.parts) - len(last) :]
    return [
        fact
        for part, fact in zip(last, found, strict=True)
        if isinstance(part, Text) and not part.name and part.text.strip()
    ]


def question_words(case: PlanningCase) -> tuple[str, ...]:
    return lower_words(case.question)


def _split_parts(
    request: Request, facts: Facts
) -> tuple[list[PartFacts], list[PartFacts], list[tuple[PartFacts, ImageDetail]]]:
    """Split the parts into texts, texts given as files (which get a label), and media."""
    texts: list[PartFacts] = []
    files: list[PartFacts] = []
    media: list[tuple[PartFacts, ImageDetail]] = []
    every = [part for message in request.messages for part in message.parts]
    for part, found in zip(every, facts.parts, strict=True):
        if found.kind == "text":
            texts.append(found)
            if not isinstance(part, TURN) and not (isinstance(part, Text) and not part.name):
                files.append(found)
        else:
            media.append((found, part.detail if isinstance(part, Image) else "auto"))
    return texts, files, media


def _recording(
    media: list[tuple[PartFacts, ImageDetail]], texts: list[PartFacts]
) -> tuple[list[tuple[PartFacts, ImageDetail]], tuple[str, ...]]:
    """Return the single recording of a transcript, and the names of the parts that are ignored."""
    recordings = [pair for pair in media if pair[0].kind == "audio" or (pair[0].kind == "video" and pair[0].channels)]
    if not recordings:
        raise UsageError("a transcript needs a recording, and there is none", todo="add an audio file")
    if len(recordings) > 1:
        raise UsageError(
            f"a transcript is made of one recording, and there are {len(recordings)}", todo="ask once for each"
        )
    others = [part.name for part, _ in media if part is not recordings[0][0]] + [text.name for text in texts]
    return recordings, tuple(others)


# ---- identity of the inputs ---------------------------------------------------------------------


def inputs_digest(case: PlanningCase) -> str:
    """Return the SHA-256 of all inputs of the plan.

    Media are represented by their digests, so no bytes are read again.
    """
    request = case.request
    head = (
        INPUTS_VERSION, request.output, request.sampling, *_effort(case), request.previous_endpoint,
        *(() if request.answer_tokens is None else (request.answer_tokens,)),
        # Free memory fluctuates; if it changes the plan, the plan shows it.
        msgspec.structs.replace(case.machine, free=0),
        case.statistics.epoch, case.as_of, case.index.digest,
    )  # fmt: skip
    hashed = hashlib.sha256(_ENCODER.encode(head))
    policy = request.policy
    if policy.max_cost == math.inf:  # JSON cannot represent infinity, and no limit is below 0
        policy = msgspec.structs.replace(policy, max_cost=-1.0)
    hashed.update(canonical_json(policy, Policy))
    hashed.update(canonical_json(case.statistics, Statistics))
    hashed.update(canonical_json(case.facts, Facts))
    hashed.update(_ENCODER.encode(list(_message_contents(request))))
    if request.tools:
        hashed.update(_ENCODER.encode((request.tools, request.tool_choice, request.parallel_tools)))
    return hashed.hexdigest()[:12]


def _effort(case: PlanningCase) -> tuple[ThinkingRequest, ...]:
    """Return the reasoning effort if the plan depends on it, else ()."""
    return (case.effort,) if any(case.effort) else ()


def _message_contents(request: Request) -> Iterator[tuple[str, object]]:
    for message in request.messages:
        role = message.role
        for part in message.parts:
            if isinstance(part, Text):
                yield role, (part.text, part.name)
            else:
                yield role, part.detail if isinstance(part, Image) else type(part).__name__


def is_local(endpoint: Endpoint) -> bool:
    """Return whether an endpoint runs on this machine."""
    return endpoint.host.zone in LOCAL_ZONES
