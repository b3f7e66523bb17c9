"""The examples of docstrings run, and give what they show."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
ROOT = SOURCE.parent
WITH_EXAMPLES = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text())


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_name)
def test_the_examples_of_a_module_give_what_they_show(path: Path) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module_name(path)))
    assert tried, "the examples are in no docstring that doctest finds"
    assert not failed


# Files of others that docstrings name as their source.
OTHERS = {
    "openai_public.py", "tokens/tokenizers/image.py", "vision_process.py", "vllm/v1/kv_cache_interface.py",
    "vllm/v1/worker/gpu_worker.py", "whisper/tokenizer.py",
}  # fmt: skip


def test_files_and_folders_that_docstrings_name_exist() -> None:
    """A path stands for every file and folder of the package or the repository that ends in it."""
    tops = ("src", "tests", "scripts", "benchmarks")
    here = [path.relative_to(ROOT).parts for top in tops for path in (ROOT / top).rglob("*")]
    ends = {"/".join(parts[start:]) for parts in here for start in range(len(parts))} | OTHERS
    named = re.compile(r"``([a-z_0-9]+(?:/[a-z_0-9]+)*\.py|[a-z_]+(?:/[a-z_]+)*/)``")
    stale = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("*.py")
        for name in named.findall(path.read_text())
        if name.rstrip("/") not in ends
    ]
    assert not stale


def test_files_that_the_docstring_of_a_folder_lists_are_in_it() -> None:
    listed = re.compile(r"^([a-z_0-9]+\.py)\b", re.MULTILINE)
    stale = [
        f"{path.relative_to(SOURCE)}: {name}"
        for path in SOURCE.rglob("__init__.py")
        for name in listed.findall(ast.get_docstring(ast.parse(path.read_text())) or "")
        if not (path.parent / name).is_file()
    ]
    assert not stale


def test_exceptions_that_docstrings_name_exist() -> None:
    known, named = set(dir(builtins)) | {"MsgspecError"}, []  # msgspec's own
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(name.asname or name.name).split(".")[-1] for name in node.names}
            elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if isinstance(node, ast.ClassDef):
                    known.add(node.name)
                names = re.findall(r"\bRaises? (_?[A-Z][a-z]+[A-Z]?\w*)", ast.get_docstring(node) or "")
                named += [(path, name) for name in names]
    stale = [f"{path.relative_to(SOURCE)}: {name}" for path, name in named if name not in known]
    assert not stale


EXPLAINED = re.compile(r"(?:^|[.;:]\s+|\n\s*)((?:``\w+``(?:, | and )?)+): ")


def explained_parameters(docstring: str) -> list[str]:
    """The names that a docstring explains as ``name``: what it is, or below ``Args:``."""
    listed = re.search(r"Args:\n((?:    .*\n?)+)", docstring)
    return [
        *(name for match in EXPLAINED.finditer(docstring) for name in re.findall(r"``(\w+)``", match[1])),
        *(re.findall(r"(?m)^    (\w+):", listed[1]) if listed else ()),
    ]


def test_parameters_that_docstrings_explain_exist() -> None:
    assert explained_parameters("Return it.\n\n``one``, ``two``: both. ``three``: last.") == ["one", "two", "three"]
    stale = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
                known = {each.arg for each in parameters if each is not None}
                stale += [
                    f"{path.relative_to(SOURCE)}:{node.lineno}: {name}"
                    for name in explained_parameters(ast.get_docstring(node) or "")
                    if name not in known
                ]
    assert not stale
