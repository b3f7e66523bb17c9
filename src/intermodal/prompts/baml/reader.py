"""The format ``.baml``: the functions of a file, with the classes of the folder that contains it.

https://docs.boundaryml.com. BAML compiles a folder as a whole: the enclosing folder named ``baml_src`` with its
subfolders, or else the file's own folder.

A ``client<llm>`` becomes models in order of preference, sampling, and the number of retries. Hosts, keys and handling
of failures come from the config and the plan. Settings that are not adopted become findings.

``test`` blocks become examples of a function: their arguments, and the assertions that can be checked. An assertion is
a Jinja expression over the answer. Comparisons with a value, joined by ``and``, are checked (``this.total == 12.5``);
others are reported and not run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as with_fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.client.answer_schema import json_output
from intermodal.core.content import Role, Text
from intermodal.core.request import JsonOutput, Message, Output, Sampling, Settings, TextOutput
from intermodal.errors import NotInstalled, PromptError
from intermodal.prompts import prompt_options
from intermodal.prompts.baml import template_limits
from intermodal.prompts.baml.declarations import (
    BamlArgument,
    BamlTypes,
    Declaration,
    Expression,
    FieldDeclaration,
    QuotedText,
    read_declarations,
)
from intermodal.prompts.baml.runtime import MARKS, NAME, BamlProblem, BamlRejected, BamlRuntime
from intermodal.prompts.baml.template_limits import FormatSize
from intermodal.prompts.media_references import is_within_folder
from intermodal.prompts.prompt_file import Argument, PromptExample, PromptFile, PromptFinding
from intermodal.prompts.rendering import MOST_LETTERS, TemplateError, locate_error, with_history
from intermodal.prompts.source_text import FrontMatter, text_of

_MOST_FILES = 500
_MOST_BYTES = 4 << 20
_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_FORMAT = re.compile(
    rf"""\{{\{{-?\s*ctx\.output_format(?:\((?:\s*\w+\s*=\s*(?:{_QUOTED}|true|false|none|null)\s*,?)*\s*\))?\s*-?\}}\}}"""
)
# Syntax of v1 that v0 does not have: settings with a colon, functions with their own keyword, fields with a colon.
_V1 = re.compile(r"\s*(?:(?:client|prompt)\s*[:=]|fn\s+\w+\s*\(|import\s|let\s)")
_ROLE = re.compile(r"\b_\.(?:role|chat)\s*\(")
_CALLED = re.compile(r"\b(\w+)\s*\(")
_V1_FIELD = re.compile(r"\s*\w+\s*:\s*\w[\w<>\[\]|? ]*,?\s*")


@dataclass(frozen=True)
class BamlProject:
    """The validated files of one folder.

    ``root``: the folder. ``blocks``: declarations by name, except tests. ``strings``: measured template strings;
    ``prompts``: measured prompts of functions; ``called``: the declarations of the template strings.
    """

    root: Path
    runtime: BamlRuntime
    output_format: _OutputFormat
    blocks: Mapping[str, Declaration]
    tests: tuple[Declaration, ...]
    code: tuple[Declaration, ...]
    strings: Mapping[str, template_limits.MeasuredTemplate]
    called: Mapping[str, Declaration]
    prompts: Mapping[str, template_limits.MeasuredTemplate]
    kinds: BamlTypes
    sizes: FormatSize


@dataclass(frozen=True)
class BamlTemplate:
    """The prompt of a function."""

    path: Path
    project: BamlProject
    block: Declaration
    prompt: template_limits.MeasuredTemplate
    line: int
    opening: Role = "user"

    def messages(self, values: Mapping[str, Any], history: tuple[Message, ...] = ()) -> tuple[Message, ...]:
        try:
            format_length = self.project.sizes.letters(self.block.type)
            template_limits.check_size(self.prompt, self.project.strings, values, format_length)
            rendered = self.project.runtime.render(self.block.name, values, self.opening)
        except TemplateError as error:
            raise locate_error(self.path, self.line, error) from None
        return with_history(rendered, history)


@dataclass(frozen=True)
class BamlParser:
    """A parser of answers: BAML's own, which accepts surrounding prose, trailing commas, and names in another case."""

    runtime: BamlRuntime
    function: str

    def value(self, text: str) -> Any:
        return self.runtime.parse(self.function, text)

    def partial(self, text: str) -> Any:
        return self.runtime.parse(self.function, text, partial=True)


class Baml:
    """The format."""

    name = "BAML"
    endings = (".baml",)

    def read(self, path: Path, text: str) -> tuple[PromptFile, ...]:
        """Return a prompt for each function of the file. Raises PromptError with file and line."""
        root, name = _root(path)
        files = _files(root, path, name, text)
        try:
            project = _project(root, tuple(sorted(files.items())))
        except NotInstalled as error:
            raise PromptError(error.what, where=f"{path}:1", todo=error.todo) from None
        except BamlRejected as error:
            raise _prompt_error(root, files, error.problems[0]) from None
        except _UnreadableFiles as error:
            place = root / error.file
            raise PromptError("cannot be read", where=f"{place}:{error.line}", todo=str(error)) from None
        except _Template as error:
            raise locate_error(root / error.file, error.line, error.error) from None
        own_functions = [each for each in project.blocks.values() if each.kind == "function" and each.file == name]
        return tuple(_Function(path, project, each).prompt() for each in own_functions if not each.code)


class _UnreadableFiles(ValueError):
    """Valid files with a declaration that could not be parsed."""

    def __init__(self, what: str, file: str, line: int = 1) -> None:
        super().__init__(what)
        self.file, self.line = file, line


class _Template(ValueError):
    """A template that is rejected, and its location."""

    def __init__(self, error: TemplateError, file: str, line: int) -> None:
        super().__init__(str(error))
        self.error, self.file, self.line = error, file, line


# ---- files -------------------------------------------------------------------------------------------


def _root(path: Path) -> tuple[Path, str]:
    """Return the folder that is compiled, and the file's path in it."""
    for folder in path.parents:
        if folder.name == NAME:
            return folder, path.relative_to(folder).as_posix()
    return path.parent, path.name


def _files(root: Path, path: Path, name: str, text: str) -> dict[str, str]:
    found = {name: text}
    size = len(text)
    for place in _source_folders(root):
        if place == path:
            continue
        if not is_within_folder(root, place):
            what = "is a link that leads out of the folder of the prompt"
            raise PromptError(what, where=str(place), todo="put the file itself there")
        found[place.relative_to(root).as_posix()] = added = text_of(place)
        size += len(added)
        if len(found) > _MOST_FILES or size > _MOST_BYTES:
            what = f"has more than {_MOST_FILES} files of BAML, or {_MOST_BYTES >> 20} MiB of them"
            raise PromptError(what, where=str(root), todo="split the folder")
    for each, words in found.items():
        if mark := MARKS.search(words):
            line = words.count("\n", 0, mark.start()) + 1
            what = "holds a mark of BAML's own reader"
            raise PromptError(what, where=f"{root / each}:{line}", todo='write {{ _.role("user") }}')
    return found


def _source_folders(root: Path) -> Iterator[Path]:
    if root.name != NAME:
        yield from sorted(root.glob("*.baml"))
        return
    for place, folders, names in os.walk(root):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(place) / each for each in sorted(names) if each.endswith(".baml"))


@lru_cache(maxsize=16)
def _project(root: Path, files: tuple[tuple[str, str], ...]) -> BamlProject:
    """Return the runtime and the declarations of files. Raises BamlRejected, _UnreadableFiles and _Template."""
    blocks: list[Declaration] = []
    unread: _UnreadableFiles | None = None
    for name, text in files:  # check templates first: some rejected ones make the runtime panic
        try:
            blocks += read_declarations(name, text)
        except (ValueError, RecursionError) as error:
            unread = unread or _UnreadableFiles(str(error), name)
    texts = {each.name: each for each in blocks if each.kind in ("template_string", "string_template")}
    strings = {name: _measure(each, frozenset(texts)) for name, each in texts.items()}
    prompts = {each.name: _measure(each, frozenset(texts)) for each in blocks if each.kind == "function"}
    blocks_by_name = {each.name: each for each in blocks if each.kind != "test"}
    kinds = BamlTypes(blocks_by_name)
    output_format = _OutputFormat(kinds, blocks)
    runtime = BamlRuntime({**dict(files), **output_format.files})
    if unread is not None:
        raise unread
    return BamlProject(
        root=root,
        runtime=runtime,
        output_format=output_format,
        blocks=blocks_by_name,
        tests=tuple(each for each in blocks if each.kind == "test"),
        code=tuple(each for each in blocks if each.code),
        strings=strings,
        called=texts,
        prompts=prompts,
        kinds=kinds,
        sizes=FormatSize(blocks_by_name),
    )


class _OutputFormat:
    """The text of ``ctx.output_format``, with which prompts describe the answer to the model.

    The runtime only renders it within a prompt, so for each prompt that uses it, an additional function is compiled
    whose prompt contains nothing else. Formats that depend on an argument are left out.
    """

    def __init__(self, kinds: BamlTypes, blocks: list[Declaration]) -> None:
        self._names: dict[str, str] = {}
        self._said: dict[str, str] = {}
        sources: list[str] = []
        for block in blocks:
            found = _FORMAT.search(str(block.settings.get("prompt", "")))
            if block.kind != "function" or found is None:
                continue
            self._names[block.name] = name = f"IntermodalFormat{len(sources)}"
            head = f'function {name}() -> {kinds.type_text(block.type)} {{\n  client "openai/none"\n'
            sources.append(f'{head}  prompt ####"\n    {found[0]}\n  "####\n}}\n')
        self.files = {"intermodal_formats.baml": "".join(sources)} if sources else {}

    def output_text(self, block: Declaration, runtime: BamlRuntime) -> str:
        """Return the output format text of a function's prompt, "" if it has none."""
        name = self._names.get(block.name)
        if name is not None and name not in self._said:
            rendered = runtime.render(name, {})
            parts = [part.text for message in rendered for part in message.parts if isinstance(part, Text)]
            self._said[name] = "".join(parts).strip()
        return self._said.get(name or "", "")


def _measure(block: Declaration, strings: frozenset[str]) -> template_limits.MeasuredTemplate:
    text = block.settings.get("prompt", "")
    try:
        return template_limits.measure_template(str(text), strings)
    except TemplateError as error:
        raise _Template(error, block.file, getattr(text, "line", block.line)) from None


def _prompt_error(root: Path, files: Mapping[str, str], problem: BamlProblem) -> PromptError:
    name = problem.file.removeprefix(f"{NAME}/")
    where = f"{root / name}:{problem.line}" if problem.file else str(root)
    lines = files.get(name, "").splitlines()[max(problem.line - 1, 0) : problem.line + 2]
    is_old_syntax = any(map(_V1.match, lines)) or bool(lines and _V1_FIELD.fullmatch(lines[0]))
    if is_old_syntax or (root / "baml.toml").exists() or (root.parent / "baml.toml").exists():
        what = "is not BAML v0, and looks like v1, a language of its own that is not read here"
        todo = "write the function in v0, or in another format"
        return PromptError(f"{what}: {problem.what}", where=where, todo=todo)
    return PromptError(problem.what, where=where, todo="see https://docs.boundaryml.com")


# ---- functions -----------------------------------------------------------------------------------------


class _Function:
    """Converts one function to a prompt."""

    def __init__(self, path: Path, project: BamlProject, block: Declaration) -> None:
        self._path = path
        self._project = project
        self._block = block
        self._findings: list[PromptFinding] = []

    def prompt(self) -> PromptFile:
        block, project = self._block, self._project
        text = block.settings.get("prompt", "")
        first = getattr(text, "line", block.line)
        types_by_name = {each.name: project.kinds.to_argument(each.type) for each in block.fields}
        arguments = tuple(self._argument(each, types_by_name[each.name]) for each in block.fields)
        model_line = block.lines.get("client", block.line)
        settings = client_settings(block.settings.get("client"), model_line, project.blocks, str(self._path))
        self._findings += settings.findings
        opening = settings.opening if self._names_roles(str(text)) else "user"
        self._check(str(text), first)
        self._check_format(str(text), first)
        output = self._output()
        examples, unread = examples_of(block, project.tests, project.kinds, types_by_name, self._path, output)
        self._findings += unread
        return PromptFile(
            path=str(self._path),
            name=block.name,
            format=Baml.name,
            template=BamlTemplate(self._path, project, block, project.prompts[block.name], first, opening),
            arguments=arguments,
            description=block.about,
            output=output,
            parser=BamlParser(project.runtime, block.name),
            model=settings.models[0] if settings.models else "",
            others=settings.models[1:],
            options=settings.options,
            sampling=settings.sampling,
            settings=settings.settings,
            examples=examples,
            findings=tuple(self._findings),
            lines={"model": model_line, "input": block.line, "output": block.line, "template": first},
        )

    def _argument(self, field: FieldDeclaration, argument: BamlArgument) -> Argument:
        return Argument(
            name=field.name,
            kind=argument.kind,
            required=argument.required,
            many=argument.many,
            description=_type_description(self._project.kinds.type_text(field.type), argument),
            schema=argument.schema,
            line=field.line,
            holds=argument.holds,
        )

    def _names_roles(self, text: str) -> bool:
        """Return whether a template, or a template string that it calls, names a role.

        If it does not, the text is a user message: most hosts do not accept a system prompt alone.
        """
        waiting, seen = [text], set[str]()
        while waiting:
            text = waiting.pop()
            if _ROLE.search(text):
                return True
            names = set(_CALLED.findall(text)) & self._project.called.keys() - seen
            seen |= names
            waiting += [str(self._project.called[name].settings.get("prompt", "")) for name in names]
        return False

    def _check(self, text: str, first: int) -> None:
        for name, what, todo in _REMARKS:
            if name in text:
                line = first + text.count("\n", 0, text.index(name))
                self._findings.append(PromptFinding("warning", line, what, todo))
        for each in self._project.code:
            if each.file == self._block.file:
                what = f"{each.name} is code, which is not run; functions with a prompt are"
                self._findings.append(PromptFinding("warning", each.line, what, "call it from your program"))

    def _check_format(self, text: str, line: int) -> None:
        """Reject an output format that exceeds the length limit of a prompt, before the runtime renders it."""
        project, word = self._project, "output_format"
        strings = (str(each.settings.get("prompt", "")) for each in project.called.values())
        if word not in text and not any(word in each for each in strings):
            return
        if project.sizes.letters(self._block.type) > MOST_LETTERS:
            what = (
                f"ctx.output_format would be more than {MOST_LETTERS >> 20} MiB, as a class is written for each field"
            )
            raise locate_error(
                self._path, line, TemplateError(what, todo="nest fewer classes, or describe them in words")
            )

    def _output(self) -> Output:
        """Return a JSON output for a class; other return types are parsed from the text of the answer."""
        returns = self._block.type
        if not self._project.kinds.is_object(returns):
            return TextOutput()
        schema = self._project.kinds.schema(returns, aliases=True)
        instructions = self._project.output_format.output_text(self._block, self._project.runtime)
        return JsonOutput(schema=json_output(schema).schema, name=returns.name or "answer", schema_text=instructions)


def _type_description(words: str, argument: BamlArgument) -> str:
    """Return BAML's name for a type if it is more specific than the argument's kind."""
    plain = ("image", "audio", "video", "pdf", "string", "int", "float", "bool")
    return (
        "" if words.removesuffix("?").removesuffix("[]") in plain and (argument.media or "[]" not in words) else words
    )


_REMARKS = (
    (
        "ctx.client",
        "ctx.client is not the client that answers: the prompt is rendered before one is chosen",
        "take it out",
    ),
)


# ---- clients ----------------------------------------------------------------------------------------


# BAML's providers -> vendor in the catalog; models of other providers are looked up by name alone.
_MAKERS = {
    "openai": "openai", "openai-responses": "openai", "azure-openai": "openai", "anthropic": "anthropic",
    "google-ai": "google", "vertex-ai": "google",
}  # fmt: skip
# Clients for which BAML treats text before the first role as a system message; for others it is a user message.
_OPENING: Mapping[str, Role] = dict.fromkeys(
    ("openai", "openai-generic", "openai-responses", "azure-openai", "openrouter", "ollama"), "system"
)
_CONNECTION = frozenset(
    (
        "model", "api_key", "base_url", "default_role", "allowed_roles", "remap_roles", "headers", "strategy",
        "supports_streaming", "media_url_handler", "resource_name", "deployment_id", "api_version", "project_id",
        "location", "region", "credentials", "allowed_role_metadata", "finish_reason_allow_list", "http",
    )
)  # fmt: skip
_NESTED = ("generationConfig", "inference_configuration")  # where Google's clients and Bedrock's have their settings
_MOST_DEEP = 5


class ClientSettings(NamedTuple):
    """The settings of a client.

    ``models``: in order of preference. ``opening``: role of the text before the first role in a prompt. ``options``:
    policy options by name.
    """

    models: tuple[str, ...] = ()
    opening: Role = "user"
    sampling: Sampling = Sampling()
    settings: Settings = Settings()
    options: Mapping[str, Any] = {}
    findings: tuple[PromptFinding, ...] = ()


def client_settings(client: Any, line: int, blocks: Mapping[str, Declaration], where: str) -> ClientSettings:
    """Return the settings of a function's ``client``.

    ``line``: where the function names it; ``where``: its file. Raises PromptError for a setting with a wrong value.
    """
    read = _Reader(blocks, where)
    models = tuple(dict.fromkeys(read.models(client)))
    said_drawn = {name: value for name, value in read.first.items() if name not in _CONNECTION}
    nested = [said_drawn.pop(name) for name in _NESTED if isinstance(said_drawn.get(name), Mapping)]
    sampling_settings = {**said_drawn, **{name: value for each in nested for name, value in each.items()}}
    sampling, settings, unread = prompt_options.sampling(
        sampling_settings, FrontMatter(name=where, value=sampling_settings, lines={(): line}), ()
    )
    found = (PromptFinding("warning", line, each) for each in dict.fromkeys(read.found))
    more = (with_fields(each, line=line) for each in unread)
    opening: Role = "system" if (read.opening or _OPENING.get(read.provider)) == "system" else "user"
    return ClientSettings(models, opening, sampling, settings, read.options, (*found, *more))


class _Reader:
    """Resolves a client to the models that it names.

    Attributes:
        first: options of the client that is called first; provider: its provider; opening: its role for text before the
            first role. options: policy options. found: settings that are not adopted.
    """

    def __init__(self, blocks: Mapping[str, Declaration], where: str) -> None:
        self._blocks = blocks
        self._where = where
        self.first: Mapping[str, Any] = {}
        self.provider = self.opening = ""
        self.options: dict[str, Any] = {}
        self.found: list[str] = []
        self._read_first = False

    def models(self, client: Any, depth: int = 0) -> Iterator[str]:
        """Yield the models of a client, in the order in which it calls them.

        ``client``: its name, or a model given inline (``"openai/gpt-4o"``).
        """
        if isinstance(client, QuotedText):
            if not self._read_first:
                self._read_first, self.provider = True, client.partition("/")[0]
            yield _called(*client.split("/", 1)) if "/" in client else str(client)
            return
        block = self._blocks.get(str(client or ""))
        if block is None or block.kind != "client" or depth > _MOST_DEEP:
            return
        if policy := block.settings.get("retry_policy"):
            self._retries(str(policy))
        options = block.settings.get("options")
        options = options if isinstance(options, Mapping) else {}
        provider = str(block.settings.get("provider") or "").removeprefix("baml-")
        if provider in _SEVERAL:
            yield from self._strategy_clients(block, provider, options, depth)
            return
        if not self._read_first:
            self.first, self._read_first, self.provider = options, True, provider
            self.opening = str(options.get("default_role") or "")
        model = str(options.get("model") or "")
        if options.get("base_url"):
            self.found.append(f"base_url of client {block.name} is not read: hosts are those of the config")
        if model.startswith("env."):
            self.found.append(f"{model} is not followed: variables are not read")
        elif model:
            yield _called(provider, model)

    def _strategy_clients(
        self, block: Declaration, provider: str, options: Mapping[str, Any], depth: int
    ) -> Iterator[str]:
        strategy = options.get("strategy")
        inner = strategy if isinstance(strategy, list) else []
        if len(inner) > 1:
            self.found.append(f"{provider} {block.name} ({self._place_of(block)}): {_SEVERAL[provider]}")
        for each in inner:
            yield from self.models(each, depth + 1)

    def _retries(self, name: str) -> None:
        """Adopt ``max_retries`` of the outermost policy, which limits resends; its delays are not adopted."""
        block = self._blocks.get(name)
        if block is None or block.kind != "retry_policy":
            return
        most = block.settings.get("max_retries")
        if type(most) is int and most >= 0:
            self.options.setdefault("resends", most)
        if block.settings.get("strategy"):
            what = "waits are not taken over: as long as the host asks, else up to 1 s, 2 s, 4 s, 8 s"
            self.found.append(f"retry_policy {name} ({self._place_of(block)}): its {what}")

    def _place_of(self, block: Declaration) -> str:
        name = os.path.basename(block.file or self._where)
        return f"{name}:{block.line}"


# Clients that combine other clients, and the note about each.
_SEVERAL = {
    "fallback": "the first that can be had answers; where it fails meanwhile, the plan's own fallbacks follow",
    "round-robin": "they do not take turns: the first that can be had answers",
}


def _called(provider: str, model: str) -> str:
    maker = _MAKERS.get(provider)
    return f"{maker}/{model}" if maker and "/" not in model else model


# ---- examples ---------------------------------------------------------------------------------------


_EQUAL = re.compile(
    r"\(?\s*(?:this|_\.result)((?:\.\w+)*)\s*==\s*(\"[^\"]*\"|'[^']*'|-?\d+(?:\.\d+)?|true|false|none|null)\s*\)?"
)
_CONSTANTS = {"none": "null"}


def examples_of(
    function: Declaration,
    tests: tuple[Declaration, ...],
    kinds: BamlTypes,
    baml_arguments: Mapping[str, BamlArgument],
    path: Path,
    output: Output,
) -> tuple[tuple[PromptExample, ...], tuple[PromptFinding, ...]]:
    """Return the tests of a function, and notes about them. ``baml_arguments``: its arguments by name."""
    examples: list[PromptExample] = []
    unread: list[PromptFinding] = []
    for test in tests:
        function_names = test.settings.get("functions")
        if not isinstance(function_names, list) or function.name not in map(str, function_names):
            continue
        values = test.settings.get("args")
        arguments = values if isinstance(values, Mapping) else {}
        checks, left = _checks(test, partial(kinds.as_told, function.type), output)
        if test.file and Path(test.file).name == path.name:
            what = f"of test {test.name} is not run: comparisons with a value are"
            unread += [
                PromptFinding("warning", line, f"{expression} {what}", "write this.field == value")
                for expression, line in left
            ]
        examples.append(
            PromptExample(arguments=_arguments(arguments, baml_arguments, path), line=test.line, checks=checks)
        )
    return tuple(examples), tuple(unread)


def _arguments(arguments: Mapping[str, Any], baml_arguments: Mapping[str, BamlArgument], path: Path) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        kind = baml_arguments.get(name)
        if kind is not None and kind.holds:
            return _with_media(value, name, path)
        if kind is None or not kind.media:
            return _literal_value(value)
        return [_medium(each, name, path) for each in value] if isinstance(value, list) else _medium(value, name, path)

    return {name: one(name, value) for name, value in arguments.items()}


def _with_media(value: Any, name: str, path: Path) -> Any:
    """Convert mappings with ``file``, ``url`` or ``base64`` within a value to media."""
    if isinstance(value, Mapping):
        if value and value.keys() <= {"file", "url", "base64", "media_type"}:
            return _medium(value, name, path)
        return {str(key): _with_media(each, name, path) for key, each in value.items()}
    return [_with_media(each, name, path) for each in value] if isinstance(value, list) else _literal_value(value)


def _medium(value: Any, name: str, path: Path) -> Any:
    """Return a medium: a file relative to the test, a URL, or inline data."""
    from base64 import b64decode

    from intermodal.prompts.media_references import media_part

    if not isinstance(value, Mapping):
        return str(value)
    if "base64" in value:
        try:
            return (name, b64decode(str(value["base64"])))
        except ValueError:
            return str(value["base64"])[:40]
    try:
        return media_part(str(value.get("file") or value.get("url") or ""), "", path.parent)
    except ValueError as error:  # reported when it is used: the file itself is valid
        return f"{error.args[0]}"


def _literal_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _literal_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_literal_value(each) for each in value]
    return value.dedented if isinstance(value, QuotedText) else str(value) if isinstance(value, str) else value


def _checks(
    test: Declaration, as_told: Callable[[list[str], Any], tuple[list[str], Any]], output: Output
) -> tuple[tuple[Mapping[str, Any], ...], list[tuple[str, int]]]:
    """Return the checks in the form of ``eval``'s items, and the assertions that cannot be run."""
    expected: dict[str, Any] = {}
    whole: list[Any] = []
    left: list[tuple[str, int]] = []
    for each in test.attributes:
        if each.name not in ("assert", "check"):
            continue
        expression = next((value for value in each.values if isinstance(value, Expression)), "")
        for part in re.split(r"\band\b", str(expression)):
            found = _EQUAL.fullmatch(part.strip())
            if found is None:
                left.append((f"{{{{ {part.strip()} }}}}", each.line))
                continue
            value = _constant(found[2])
            if found[1]:
                _set_at(expected, *as_told(found[1].lstrip(".").split("."), value))
            else:
                whole.append(value)
    if isinstance(output, JsonOutput) and expected:
        return ({"compare": "json", "expected": expected},), left
    if whole and isinstance(whole[0], str):
        return ({"compare": "exact", "expected": whole[0]},), left
    return (), left


def _set_at(table: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table[path[-1]] = value


def _constant(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    return json.loads(_CONSTANTS.get(text, text))


FORMAT = Baml()
