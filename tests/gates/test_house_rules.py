"""House rules, as ratchets: a rule that a machine can hold is not left to reviewers."""

from __future__ import annotations

import ast
import re
import subprocess
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "intermodal"
MODULES = sorted(PACKAGE.rglob("*.py"))
PYTHON = sorted(path for folder in ("src", "tests", "examples", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS = 1000, 80, 8


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


@pytest.fixture(scope="module", autouse=True)
def trees_are_kept_no_longer() -> Iterator[None]:
    """Every rule looks at the same ones; together they are hundreds of megabytes."""
    yield
    nodes.cache_clear()
    tree.cache_clear()


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def called(node: ast.Call, *names: str) -> bool:
    """Whether the function that is called is one of these. Most calls are told apart by their last name alone."""
    function = node.func
    last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return any(name.rpartition(".")[2] == last for name in names) and ast.unparse(function) in names


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tracked_texts() -> Iterator[tuple[Path, str]]:
    """Every text file git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in sorted(set(listed)):
        path = ROOT / name
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data[:4096]:
                yield path, data.decode("utf-8", "replace")


def test_no_code_is_made_from_data() -> None:
    """No eval, exec, pickle, marshal or shell: data stays data."""
    bad = []
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                if called(node, "eval", "exec", "compile", "__import__", "os.system", "os.popen"):
                    bad.append(f"{place(path, node)} {ast.unparse(node.func)}()")
                if any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords):
                    bad.append(f"{place(path, node)} shell=")
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
                if names & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}:
                    bad.append(f"{place(path, node)} imports {sorted(names)}")
    assert not bad


def test_no_drawer_for_odds_and_ends() -> None:
    """A module is named for what it is; utils, helpers, common, misc and base say nothing.

    ``core`` is one folder, of what every package shares; what it may import is held below.
    """
    names = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
    assert not [str(path) for path in MODULES if path.stem.strip("_") in names or path.parent.name in names]
    assert [path.name for path in (ROOT / "src").rglob("core*") if "__pycache__" not in path.parts] == ["core"]


def test_the_core_imports_itself_and_errors_and_nothing_else_of_intermodal() -> None:
    imported = {
        node.module or ""
        for path in (PACKAGE / "core").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    imported = {name for name in imported if name.startswith("intermodal")}
    assert imported
    assert {name for name in imported if not name.startswith("intermodal.core.")} == {"intermodal.errors"}


def test_files_and_functions_stay_small() -> None:
    long_files = [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path in PYTHON
        if (count := len(path.read_text().splitlines())) > FILE_LINES
    ]
    long_functions, wide_functions = [], []
    for path in MODULES:
        for node in functions(path):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                long_functions.append(f"{place(path, node)} {node.name}: {length} lines")
            arguments = node.args
            count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
            if count > PARAMETERS and not node.decorator_list:
                wide_functions.append(f"{place(path, node)} {node.name}: {count} parameters")
    assert not long_files
    assert not long_functions
    assert not wide_functions


def test_no_branch_on_a_name_of_a_host_or_model() -> None:
    """What a host does differently is a field of its row; no code asks who it is."""
    asks = re.compile(r"\b(provider|vendor|host_id|base_url|(host|model|endpoint)(\.(id|name))?)$")
    bad = []
    for path in MODULES:
        for node in nodes(path):
            if not isinstance(node, ast.Compare):
                continue
            sides = [node.left, *node.comparators]
            words = [side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
            named = any(re.search(r"[A-Za-z0-9]", word) for word in words)  # "" and ":" ask for a shape, not a name
            asked = any(asks.search(ast.unparse(side)) for side in sides if not isinstance(side, ast.Constant))
            if named and asked:
                bad.append(f"{place(path, node)} {ast.unparse(node)}")
    assert not bad


def test_every_error_can_be_told_apart_from_silence() -> None:
    """No bare ``except:`` and no ``except Exception: pass``."""
    bad = []
    for path in MODULES:
        for node in nodes(path):
            if isinstance(node, ast.ExceptHandler):
                if node.type is None:
                    bad.append(f"{place(path, node)} bare except")
                elif ast.unparse(node.type) in ("Exception", "BaseException") and all(
                    isinstance(line, ast.Pass) for line in node.body
                ):
                    bad.append(f"{place(path, node)} swallows {ast.unparse(node.type)}")
    assert not bad


def test_printing_is_left_to_the_command_line() -> None:
    bad = []
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] == "cli":
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call) and called(node, "print", "sys.stdout.write", "click.echo"):
                logged = any(word.arg == "file" and ast.unparse(word.value) == "sys.stderr" for word in node.keywords)
                if not logged:  # a worker's standard error is its log
                    bad.append(place(path, node))
    assert not bad


@pytest.mark.parametrize("folder", ["/root/", "/home/", "/Users/"])
def test_nothing_in_the_tree_names_a_folder_of_one_machine(folder: str) -> None:
    """Tests may: they feed such paths to what must hide them."""
    pattern = re.compile(rf"(?<![\w.~]){re.escape(folder)}[A-Za-z]")
    bad = []
    for path, text in tracked_texts():
        if path.relative_to(ROOT).parts[0] != "tests":
            bad += [
                f"{path.relative_to(ROOT)}:{text[: hit.start()].count(chr(10)) + 1}" for hit in pattern.finditer(text)
            ]
    assert not bad


def test_every_package_says_what_it_is_for() -> None:
    """The first line of a module tells a newcomer why it exists."""
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.read_text().strip() and not ast.get_docstring(tree(path))
    ]
    assert not silent


def test_no_secret_is_in_the_tree() -> None:
    shapes = re.compile(r"\b(sk-[A-Za-z0-9]{20,}|ghp_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,})\b")
    bad = [f"{path}: {hit[:6]}..." for path, text in tracked_texts() for hit in shapes.findall(text)]
    assert not bad


def retired_words() -> set[str]:
    """Words of the first column of the table of retired words in the glossary."""
    table = (ROOT / "docs" / "glossary.md").read_text().partition("## Retired words")[2]
    rows = re.findall(r"^\| ([a-z, ]+) \|", table, re.M)
    return {word.strip() for row in rows if row != "retired" for word in row.split(",")}


def words_refused(sentence: str) -> set[str]:
    """The words that the glossary lists in a sentence of this form, in which ``...`` stands for them."""
    table = (ROOT / "docs" / "glossary.md").read_text().partition("## Retired words")[2]
    before, _, after = sentence.partition(" ... ")
    found = re.search(f"{re.escape(before)} ([^.:|]+?) {re.escape(after)}", table)
    return set(re.findall(r"`(\w+)`", found[1])) if found else set()


def names_in(node: ast.AST) -> Iterator[str]:
    """Every name that a node binds or uses: of a variable, attribute, parameter, keyword, import, function or class."""
    for field in ("id", "attr", "arg", "name", "asname", "rest"):
        name = getattr(node, field, None)
        if isinstance(name, str):
            yield name
    if isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names


def retired_names(found: Iterable[ast.AST], words: set[str]) -> Iterator[tuple[ast.AST, str]]:
    refused = words | {f"{word}s" for word in words}
    for node in found:
        for name in names_in(node):
            parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
            if refused & {part.lower() for part in parts}:
                yield node, name


def top_classes() -> Iterator[tuple[Path, str]]:
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                yield path.relative_to(PACKAGE), node.name


def test_no_module_or_class_is_named_by_a_retired_word() -> None:
    retired = retired_words()
    assert {"till", "lane", "heard", "held"} <= retired
    bad = [str(path.relative_to(PACKAGE)) for path in MODULES if retired & set(path.stem.split("_"))]
    bad += [
        f"{path}: {name}"
        for path, name in top_classes()
        if retired & {word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", name)}
    ]
    assert not bad


def test_some_retired_words_are_part_of_no_name_at_all() -> None:
    """Variables and attributes too: they are read more often than the names of classes."""
    words = words_refused("refuses ... in every name")
    assert words and words <= retired_words()
    sample = (
        "def f(self, purse, *, all_tills=()):\n    self._slate, distill = OF_TONGUE(still=purse), translate.tillage\n"
    )
    caught = sorted(name for _, name in retired_names(ast.walk(ast.parse(sample)), words))
    assert caught == ["OF_TONGUE", "_slate", "all_tills", "purse", "purse"], "the rule sees what it has to see"

    spelt = re.compile("|".join(words), re.IGNORECASE)

    def every(path: Path) -> Iterator[ast.AST]:  # not cached: the trees of all tests need too much memory
        text = unicodedata.normalize("NFKC", path.read_text())  # as Python reads names (PEP 3131)
        return ast.walk(ast.parse(text)) if spelt.search(text) else iter(())

    bad = [f"{place(path, node)} {name}" for path in PYTHON for node, name in retired_names(every(path), words)]
    assert not bad


def test_no_function_is_named_by_a_participle_alone() -> None:
    """A function is named by what it does or returns; ``_told`` and ``made`` name neither."""
    words = words_refused("functions and methods that are named ... alone")
    assert {"told", "said", "found"} <= words
    bad = [f"{place(path, node)} {node.name}" for path in MODULES for node in functions(path)
           if node.name.strip("_") in words]  # fmt: skip
    assert not bad


def bound_names(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every name that a function binds: its parameters and variables. Fields of a class may be words of a format."""
    for function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node, node.id
            elif isinstance(node, ast.arg):
                yield node, node.arg


def test_no_variable_is_named_by_a_participle_or_pronoun_alone() -> None:
    """A variable is named by what it holds; ``told``, ``mine`` and ``there`` make a reader look for it."""
    words = words_refused("variables and parameters that are named ... alone")
    assert {"told", "mine", "there"} <= words
    bad = [f"{place(path, node)} {name}" for path in MODULES for node, name in bound_names(path)
           if name.strip("_") in words]  # fmt: skip
    assert not bad


def test_a_public_class_name_is_used_once() -> None:
    """So that a search for a class finds one class."""
    places: dict[str, list[str]] = {}
    for path, name in top_classes():
        if not name.startswith("_"):
            places.setdefault(name, []).append(str(path))
    assert not {name: paths for name, paths in places.items() if len(paths) > 1}


def test_what_a_module_runs_as_a_program_is_its_last_statement() -> None:
    """What stands below ``if __name__ == "__main__"`` is not defined while the program runs."""
    early = [
        place(path, node)
        for path in MODULES
        for node in tree(path).body[:-1]
        if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
    ]
    assert not early
