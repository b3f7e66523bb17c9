"""Which scripts can be read in images on this machine, beside those of the embedded OCR."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from intermodal.local.embedded import tesseract
from intermodal.local.embedded.versions import converter_version
from intermodal.plans.facts import UNKNOWN_SCRIPT, ScriptFacts

if TYPE_CHECKING:
    from intermodal.local.weights.store import WeightsStore


def pulled_languages(weights: WeightsStore) -> dict[str, str]:
    """Return the pulled Tesseract languages: code -> folder."""
    names = sorted(weights.present(tesseract.WEIGHTS))
    return {name.removeprefix(tesseract.WEIGHTS): str(weights.path(name)) for name in names}


def ocr_version(weights: WeightsStore) -> str:
    """Return a description of the installed OCR that changes whenever results may change. Runs no program."""
    program = tesseract.program()
    try:
        state = os.stat(program)
        updated = f"{state.st_size} {state.st_mtime_ns}"
    except OSError:
        updated = ""
    return " ".join((converter_version("ocr"), program, updated, *pulled_languages(weights)))


def readable_scripts(weights: WeightsStore, language: str = "") -> ScriptFacts:
    """Return the scripts that can be read, and how to add more. Runs Tesseract to list its languages.

    ``language``: language of the words, ISO 639-1, if known.
    """
    known = tesseract.languages(pulled_languages(weights), language)
    read = {script: f"Tesseract {language.code}" for script, language in known.items()}
    lacking = {script: codes for script, codes in tesseract.SCRIPTS.items() if script not in read}
    todo = {
        script: tesseract.install_hint(tesseract.languages_in_order(codes, language)[0])
        for script, codes in lacking.items()
    }
    return ScriptFacts(read=read, todo=todo | {UNKNOWN_SCRIPT: tesseract.install_hint()})
