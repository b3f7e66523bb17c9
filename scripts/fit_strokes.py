"""Fits ``src/intermodal/media/image/script_detection.bin``: by which shapes a picture's script is told, without
reading it.

    python scripts/fit_strokes.py FONTS WORDS [--pages 6400] [--held 1300]

FONTS is a folder with fonts (.ttf, .otf, .ttc), WORDS one with hunspell dictionaries (.dic, .aff). Those that the
shipped numbers were fitted on are Debian's: fonts-noto-core, -noto-cjk, -noto-extra, -freefont-ttf, -dejavu,
-liberation, -roboto-unhinted, -open-sans, -lato, -linuxlibertine, -crosextra-*, -paratype, -gfs-*, -hosny-amiri,
-kacst-one, -sil-*, -lohit-deva, -nanum, -unfonts-core, -baekmuk, -wqy-*, -arphic-*, -ipafont-*, -vlgothic, -tlwg-*,
-farsiweb, culmus and -urw-base35; and hunspell-* of the languages below. Needs fonttools, numpy and scikit-learn.

Pages are drawn with words of a language, in one of its fonts, with figures and Latin words between them where the font
has some, light or dark, tilted, blurred, noisy, shrunk and as JPEG. Of every ten families of fonts three are held back,
and what is printed at the end is of pages in those: how many pages in other scripts are told, how many rightly, and how
many in Latin, Chinese and Japanese are told to be in another.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import re
import sys
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from intermodal.media.image import script_detection

LANGUAGES = {
    "latin": ("en_US", "de_DE", "fr", "pl_PL", "cs_CZ", "tr_TR", "vi_VN", "es_ES", "hu_HU"),
    "cyrillic": ("ru_RU", "ru_RU", "uk_UA", "bg_BG", "sr_RS", "be_BY", "kk_KZ", "mn_MN"),
    "greek": ("el_GR",), "arabic": ("ar",), "hebrew": ("he_IL",), "devanagari": ("hi_IN", "ne_NP"), "thai": ("th_TH",),
    "armenian": ("hy_AM",), "bengali": ("bn_BD",), "gujarati": ("gu_IN",), "telugu": ("te_IN",),
    "malayalam": ("ml_IN",),
}  # fmt: skip
# Scripts without a dictionary at hand: consonants with vowel signs behind some of them, by their ranges in Unicode.
LETTERS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "tamil": ((0xB95, 0xBBA), (0xBBE, 0xBCD)), "kannada": ((0xC95, 0xCBA), (0xCBE, 0xCCD)),
    "gurmukhi": ((0xA15, 0xA3A), (0xA3E, 0xA4D)), "georgian": ((0x10D0, 0x10F1), (0, 0)),
    "ethiopic": ((0x1208, 0x1340), (0, 0)), "khmer": ((0x1780, 0x17A3), (0x17B6, 0x17C6)),
    "lao": ((0xE81, 0xEAF), (0xEB0, 0xEBD)), "burmese": ((0x1000, 0x1022), (0x102B, 0x1039)),
    "sinhala": ((0xD9A, 0xDC7), (0xDCF, 0xDDF)),
}  # fmt: skip
# Letters that a font of a script has all of.
OF_FONTS = {
    "latin": "aghkqßéŁ", "cyrillic": "жщюяЖФЙ", "greek": "αλωψΣΩ", "arabic": "بجعقنه", "hebrew": "אבשלםת",
    "devanagari": "कखगशह", "thai": "กขคงจฉ", "hangul": "가나다힘", "han": "国的学國書", "kana": "あいうカキ",
    "georgian": "აბგდე", "armenian": "աբգդե", "bengali": "কখগশ", "tamil": "கஙசம", "telugu": "కఖగశ", "kannada": "ಕಖಗ",
    "malayalam": "കഖഗ", "gujarati": "કખગ", "gurmukhi": "ਕਖਗ", "ethiopic": "ሀለሐ", "khmer": "កខគ", "lao": "ກຂຄ",
    "burmese": "ကခဂ", "sinhala": "කඛග", "figures": "059.,%a",
}  # fmt: skip
OFTEN = {
    "latin": 7,
    "cyrillic": 4,
    "greek": 3,
    "han": 2,
    "arabic": 2,
    "hebrew": 2,
    "devanagari": 2,
    "thai": 2,
    "hangul": 2,
}
UNBROKEN = ("han", "kana", "thai", "lao", "khmer")  # written without blanks, mostly
ODD = re.compile("Math|Display|Rashi|Quran|Kufi|ExtraLight|Thin|Nastaliq|Ornament|Initials|Tifinagh|Music")
STYLE = re.compile(r"[-_]|Bold|Italic|Regular|Light|Medium|Oblique|Black|Thin|Condensed|Mono$")
TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
C = 30.0  # the inverse of the penalty on weights


class Fonts:
    """Fonts by script and family; ``held`` picks the families that are not fitted on, or the others."""

    def __init__(self, folder: Path) -> None:
        from fontTools.ttLib import TTFont, TTLibError

        self._families: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        self._figured: set[Path] = set()
        for path in sorted(folder.rglob("*.[to]t[fc]")):
            try:
                there = set(TTFont(path, fontNumber=0, lazy=True).getBestCmap() or ())
            except (TTLibError, OSError, KeyError, AssertionError):
                continue
            for script, letters in OF_FONTS.items():
                if not set(map(ord, letters)) <= there or ODD.search(path.name):
                    continue
                if script == "figures":
                    self._figured.add(path)
                else:
                    self._families[script][STYLE.split(path.stem)[0]].append(path)

    def pick(self, rng: random.Random, script: str, *, held: bool) -> Path:
        families = self._families[script]
        some = [name for name in sorted(families) if (_digest(name) % 10 < 3) == held] or sorted(families)
        return rng.choice(families[rng.choice(some)])

    def has_figures(self, path: Path) -> bool:
        return path in self._figured


def _digest(name: str) -> int:
    return int(hashlib.md5(name.encode()).hexdigest(), 16)


# ---- words -----------------------------------------------------------------------------------------


def vocabularies(folder: Path, rng: random.Random) -> dict[str, list[list[str]]]:
    """Words of each language of each script."""
    found = {script: [_words(folder, name, rng) for name in names] for script, names in LANGUAGES.items()}
    chinese = [bytes((high, low)).decode("gb2312") for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFA)]
    korean = [bytes((high, low)).decode("euc-kr") for high in range(0xB0, 0xC9) for low in range(0xA1, 0xFF)]
    kana = [chr(code) for first, last in ((0x3042, 0x3094), (0x30A2, 0x30F4)) for code in range(first, last)]
    found["han"] = [_made(rng, chinese, (), 2, 9)]
    found["hangul"] = [_made(rng, korean, (), 1, 5)]
    found["kana"] = [_made(rng, [*kana * 20, *chinese], (), 3, 9)]
    for script, (letters, signs) in LETTERS.items():
        found[script] = [_made(rng, _assigned(letters), _assigned(signs), 2, 6)]
    return found


def _words(folder: Path, name: str, rng: random.Random) -> list[str]:
    rules = (folder / f"{name}.aff").read_bytes()
    said = re.search(rb"SET\s+(\S+)", rules)
    encoding = said[1].decode().replace("ISO8859", "iso8859").replace("microsoft-", "") if said else "utf-8"
    lines = (folder / f"{name}.dic").read_bytes().decode(encoding, "ignore").splitlines()[1:]
    words = [line.split("/")[0].split("\t")[0].strip() for line in lines]
    words = [word for word in words if 2 <= len(word) <= 18 and not any(map(str.isdigit, word))]
    rng.shuffle(words)
    return words[:30_000]


def _made(rng: random.Random, letters: Sequence[str], signs: Sequence[str], least: int, most: int) -> list[str]:
    def one() -> str:
        return rng.choice(letters) + (rng.choice(signs) if signs and rng.random() < 0.5 else "")

    return ["".join(one() for _ in range(rng.randint(least, most))) for _ in range(8_000)]


def _assigned(codes: tuple[int, int]) -> list[str]:
    return [chr(code) for code in range(*codes) if unicodedata.category(chr(code)) != "Cn"]


def _sentence(rng: random.Random, script: str, words: list[str], latin: list[str], *, figured: bool) -> str:
    case, made = rng.random(), []
    for place in range(rng.randint(2, 9)):
        kind = rng.random()
        if figured and kind < 0.14:
            made.append(rng.choice((str(rng.randint(1, 99_999)), f"{rng.randint(1, 999)}.{rng.randint(0, 99):02}")))
        elif figured and script != "latin" and kind < 0.22:
            made.append(rng.choice(latin))
        else:
            word = rng.choice(words)
            word = word.upper() if case < 0.12 else word.capitalize() if case < 0.3 or not place else word
            made.append(word + (rng.choice(",.:;") if figured and rng.random() < 0.12 else ""))
    return ("" if script in UNBROKEN and rng.random() < 0.7 else " ").join(made)


# ---- pages -----------------------------------------------------------------------------------------


class Page(NamedTuple):
    features: list[float]
    script: str


class Press:
    """Draws pages."""

    def __init__(self, fonts: Fonts, words: dict[str, list[list[str]]]) -> None:
        self._fonts = fonts
        self._words = words
        self._often = [script for script in words for _ in range(OFTEN.get(script, 1))]

    def page(self, rng: random.Random, *, held: bool) -> Page | None:
        """One page: of six, one is turned or harder to tell than most."""
        chance = rng.random()
        hard, turned = chance < 0.09, 0.09 <= chance < 0.165
        script = rng.choice(("latin",) * 5 + ("han", "kana")) if hard or turned else rng.choice(self._often)
        image = self._printed(rng, script, held=held)
        if turned:
            image, script = image.transpose(rng.choice(TURNS)), script_detection.TURNED
        elif hard and rng.random() < 0.5:
            image = _tilted(image, rng.choice((-1, 1)) * rng.uniform(1.5, 5.5))
        elif hard:
            shrunk = rng.uniform(0.4, 0.75)
            image = image.resize((round(image.width * shrunk), round(image.height * shrunk)), Image.Resampling.BOX)
        found = script_detection.count_patterns(image)
        return None if found is None else Page(script_detection.pattern_features(found), script)

    def _printed(self, rng: random.Random, script: str, *, held: bool) -> Image.Image:
        path = self._fonts.pick(rng, script, held=held)
        figured, words = self._fonts.has_figures(path), rng.choice(self._words[script])
        size = rng.choice((13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 36, 44))
        font, lead = ImageFont.truetype(str(path), size), size * rng.uniform(1.25, 2.2)
        width, lines = rng.choice((600, 800, 1000, 1240, 1500)), min(rng.randint(4, 26), int(1740 / lead))
        dark = rng.random() < 0.15
        paper, ink = (
            (rng.randint(0, 70), rng.randint(180, 255)) if dark else (rng.randint(185, 255), rng.randint(0, 90))
        )
        image = Image.new("L", (width, int(60 + lines * lead)), paper)
        pen, columns = ImageDraw.Draw(image), rng.random() < 0.25
        for line in range(lines):
            begins = (
                [30, *sorted(rng.sample(range(width // 4, width - 60), 2))] if columns and rng.random() < 0.7 else []
            )
            text = _sentence(rng, script, words, self._words["latin"][0], figured=figured)
            if not begins and script in ("arabic", "hebrew"):
                begins = [max(10, int(width - 30 - pen.textlength(text, font=font)))]
            for begin in begins or [30]:
                cut = text[: rng.randint(4, 14)] if len(begins) > 1 else text
                pen.text((begin, 25 + line * lead), cut, fill=ink, font=font)
        for _ in range(rng.randint(1, 6) if rng.random() < 0.15 else 0):
            row = rng.randint(0, image.height)
            pen.line((10, row, width - 10, row), fill=ink, width=rng.randint(1, 2))
        return _worn(rng, image, size)


def _tilted(image: Image.Image, degrees: float) -> Image.Image:
    paper = image.getpixel((2, 2))
    assert isinstance(paper, int)
    return image.rotate(degrees, expand=True, fillcolor=paper, resample=Image.Resampling.BICUBIC)


def _worn(rng: random.Random, image: Image.Image, size: int) -> Image.Image:
    """As a camera, a scanner and a host's pictures leave it."""
    if rng.random() < 0.35:
        image = _tilted(image, rng.uniform(-1.5, 1.5))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.1) * max(0.7, size / 26)))
    if rng.random() < 0.3:
        image = ImageChops.add(image, Image.effect_noise(image.size, rng.uniform(5, 30)), scale=1, offset=-128)
    scale = rng.uniform(0.7, 1.6)
    if rng.random() < 0.2 and size * scale >= 12:
        image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
    if rng.random() < 0.3:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=rng.randint(35, 90))
        image = Image.open(out).convert("L")
    return image


# ---- the model -------------------------------------------------------------------------------------


def fitted(pages: list[Page]) -> script_detection.ScriptModel:
    import numpy
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=C, max_iter=200)
    model.fit(numpy.array([page.features for page in pages], dtype=numpy.float32), [page.script for page in pages])
    scale = abs(model.coef_).max(axis=1) / 127
    weights = numpy.round(model.coef_ / scale[:, None]).astype(numpy.int8)
    return script_detection.ScriptModel(
        scripts=[str(script) for script in model.classes_], scale=scale.tolist(), bias=model.intercept_.tolist(),
        weights=weights.tobytes(),
    )  # fmt: skip


def told(model: script_detection.ScriptModel, pages: list[Page]) -> str:
    """How pages fare that were not fitted on."""
    found = [
        (page.script, script_detection.confident_script(script_detection.likelihoods(page.features, model)))
        for page in pages
    ]
    read = [said for script, said in found if script in (*script_detection.READ_SCRIPTS, script_detection.TURNED)]
    others = [
        (script, said)
        for script, said in found
        if script not in (*script_detection.READ_SCRIPTS, script_detection.TURNED)
    ]
    some = [(script, said) for script, said in others if said]
    return (
        f"{sum(map(bool, read))} of {len(read)} pages that are read anyway are told to be in another script; of "
        f"{len(others)} in another {len(some)} are told, {sum(script == said for script, said in some)} of them rightly"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fonts", type=Path)
    parser.add_argument("words", type=Path)
    parser.add_argument("--pages", type=int, default=6_400)
    parser.add_argument("--held", type=int, default=1_300)
    options = parser.parse_args()
    rng = random.Random(11)
    press = Press(Fonts(options.fonts), vocabularies(options.words, rng))
    model = fitted([page for _ in range(options.pages) if (page := press.page(rng, held=False))])
    held = [page for _ in range(options.held) if (page := press.page(rng, held=True))]
    sys.stdout.write(f"{told(model, held)}\n")
    Path(script_detection.__file__).with_suffix(".bin").write_bytes(zlib.compress(msgspec.msgpack.encode(model), 9))


if __name__ == "__main__":
    main()
