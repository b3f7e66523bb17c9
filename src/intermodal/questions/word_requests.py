"""Requests for the words of a picture or scan and nothing else: "What does the picture say?", "Read the QR code".

Text recognition answers these by itself. A question about the words ("What does it say about the rent?") is another
thing, so a request counts only if all of it is one of the sentences below; what they leave open is no such request.

Languages: en de fr es pt it ru zh ja ar.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from intermodal.plans.facts import Medium, MediumNeeds, Need, QuestionFacts
from intermodal.questions.answer_kinds import fold_text

_READ: tuple[Medium, ...] = ("photo", "page", "image", "document")
MOST: Final = 160  # characters; no request for the words alone is longer

# Placeholders of the sentences: <it> is the picture, <text> its words, <code> a bar code. Repetitions are possessive: a
# request that repeats "please" is not tried in every way there is.
_WORDS = {
    "<it>": (
        r"(?:(?:this|that|the|my|these|diese[smrn]?|de[mnr]|das|die|cette?|ce|la|le|l'|est[ea]|el|ess[ea]|[ao]|n[ao]"
        r"|quest[aoe]|il|lo|sull[ao'] ?|sul|dell[ao'] ?|del|du) ?)?"
        r"(?:attached |scanned |angehangte[ns]? )?"
        r"(?:picture|image|photo(?:graph)?|screenshot|scan|page|document|pdf|sign|letter|receipt|note|label|poster|card"
        r"|slide|form|file|it|this|that"
        r"|bild|foto|seite|dokument|datei|schild|brief|beleg|zettel|plakat|scan"
        r"|photographie|capture(?: d'ecran)?|fichier|panneau|lettre|affiche"
        r"|imagen|foto(?:grafia)?|captura(?: de pantalla)?|pagina|documento|archivo|cartel|carta|recibo"
        r"|imagem|captura(?: de tela)?|ficheiro|arquivo|placa|immagine|cartello|lettera|ricevuta)"
    ),
    "<text>": (
        r"(?:(?:all|only|just|alle?n?|gesamten|ganzen|nur|tout|todo|tutto|of|the|any|d[ea][nr]|das|le|les|el|il"
        r"|o|os|la|las|i|del) )*+"
        r"(?:text|texts|words|writing|worter|texte|mots|texto|palabras|palavras|testo|parole)"
    ),
    "<code>": (
        r"(?:(?:this|that|the|de[nr]|diesen?|dieser|le|ce|el|este|o|il|questo|l') ?)?"
        r"(?:qr[- ]?code|bar ?code|data ?matrix(?: code)?|strichcode|barcode|code[- ]barres?|code qr|codigo qr"
        r"|codigo de barras?|codice qr|codice a barre)"
    ),
}  # fmt: skip
_POLITE = (
    r"(?:(?:please|kindly|can you|could you|bitte|kannst du|konnen sie|merci de|peux-tu|pouvez-vous|por favor"
    r"|puedes|puede|pode|podes|per favore|puoi|пожалуиста) ?,? ?)*+"
)  # fmt: skip
_TAIL = (
    r"(?:,? ?(?:please|word for word|verbatim|exactly|as it is|aloud|out loud|for me|to me|bitte|wortlich|wort fur wort"
    r"|s'il te plait|s'il vous plait|mot a mot|por favor|palabra por palabra|per favore|parola per parola"
    r"|пожалуиста))*+"
)  # fmt: skip
# All of a request, without its politeness and marks.
_LATIN = (
    r"what (?:does|do) (?:<it>|<code>) says?(?: on it)?",
    r"what(?:'s| is| was| does it say) (?:written |printed |said )?(?:here|on it|there)",
    r"what(?:'s| is) (?:written|printed) (?:here|(?:in|on) <it>)",
    r"what (?:text|words)(?: is| are)?(?: written| printed)?(?: here| (?:in|on) <it>)",
    r"what(?:'s| is| are) (?:the text|the words|written) (?:in|on|of) <it>",
    r"(?:read|transcribe|ocr|type out|write out|copy)(?: me)? <it>(?: out)?",
    r"(?:read|transcribe|extract|ocr|recogni[sz]e|type out|write out|copy|get|give me|return|output|print|show me)"
    r"(?: out)? <text>(?: written| printed)?(?: (?:from|in|on|of) <it>)?",
    r"(?:read|scan|decode) <code>(?: (?:from|in|on) <it>)?",
    r"what (?:does|do) <code> (?:contain|encode|hold)s?",
    r"what(?:'s| is) (?:in|on) <code>",
    r"(?:text recognition|ocr)",
    r"was steht (?:hier|da|dort|drauf|darauf|(?:auf|in) <it>)(?: geschrieben)?",
    r"was sagt (?:<it>|<code>)",
    r"(?:lies|lesen sie|transkribiere?|extrahiere?|erkenne|gib|tippe?)(?: mir)? (?:<text>|<it>|<code>)"
    r"(?: (?:aus|von|auf|in|im|vom) <it>)?(?: vor| ab| aus)?",
    r"(?:<text>|<it>|<code>)(?: (?:aus|von|auf|in|im|vom) <it>)? (?:vorlesen|abtippen|auslesen|transkribieren)",
    r"qu'est-ce qui est (?:ecrit|imprime)(?: ici| (?:sur|dans) <it>)?",
    r"que dit (?:<it>|<code>)",
    r"(?:lis|lisez|transcris|transcrivez|extrais|extrayez|copie|copiez)(?:-moi)? (?:<text>|<it>|<code>)"
    r"(?: (?:de|du|dans|sur|a partir de) <it>)?",
    r"que (?:dice|pone|esta escrito)(?: aqui| (?:en )?<it>| <code>)?",
    r"(?:lee|lea|leeme|transcribe|transcriba|extrae|extraiga|copia|copie) (?:<text>|<it>|<code>)"
    r"(?: (?:de|del|en) <it>)?",
    r"o que (?:diz|esta escrito)(?: aqui| (?:em )?<it>| <code>)?",
    r"(?:leia|le|transcreva|extraia|copie) (?:<text>|<it>|<code>)(?: (?:de|d[ao]|em|n[ao]) ?<it>)?",
    r"(?:che )?cosa (?:dice|c'e scritto|e scritto)(?: qui| (?:su )?<it>| <code>)?",
    r"(?:leggi|legga|leggimi|trascrivi|trascriva|estrai|estragga|copia) (?:<text>|<it>|<code>)"
    r"(?: (?:(?:da|dal|dall[ao'] ?|di|in|nel|nella|nell') ?)?<it>)?",
)  # fmt: skip
_PICTURE_RU = (
    r"(?:(?:на|в|с|этои|этом|этого|этот|эту|это) )*+"
    r"(?:картинк\w|изображени\w|фото|фотографи\w|скане?|странице?|документе?)"
)
_OTHERS = (
    rf"что (?:здесь |тут |там )?(?:написано|напечатано)(?: здесь| тут| {_PICTURE_RU})?",
    rf"что {_PICTURE_RU} написано",
    rf"(?:прочитаи|прочти|распознаи|извлеки|перепиши)(?:те)? (?:мне )?(?:весь )?"
    rf"(?:текст|надпись|qr-?код|штрих-?код|{_PICTURE_RU})"
    rf"(?: {_PICTURE_RU})?",
    r"[请請]?(?:这|這|此)?(?:张|張|幅)?[图圖照](?:片|像|中|里|裡|上)*(?:写|寫)(?:了|着|的)*(?:是)?什[么麼]",
    r"(?:上面|这里|這裡)(?:写|寫)(?:了|着|的)*(?:是)?什[么麼]",
    r"[请請]?(?:提取|识别|識別|读出|讀出|念出|转录|轉錄|抄写)(?:一下)?(?:这|這|此)?(?:张|張)?(?:[图圖照]片?(?:中|里|裡|上)*的?)?"
    r"(?:所有|全部)?的?(?:文字|文本|内容|二维码|二維碼|条形码|條碼)",
    r"(?:この)?(?:画像|写真|ここ|スキャン|ページ)?(?:に|には|の中に)?(?:は)?何(?:と|て|が)書(?:いて|かれて)(?:いますか|いる|ありますか|ある|あるの)?",
    r"(?:この)?(?:画像|写真|スキャン|ページ)?(?:の|から|内の)?(?:すべての|全ての)?(?:テキスト|文字|文章|qrコード|バーコード)を"
    r"(?:読んで|読み取って|読み上げて|抽出して|書き起こして|認識して)(?:ください|くれ|下さい)?",
    r"(?:この)?(?:画像|写真|スキャン|ページ)?(?:を|の)?文字起こし(?:を)?(?:して)?(?:ください|下さい)?",
    r"ما(?:ذا)? (?:هو )?(?:ال)?(?:مكتوب|كتب)(?: هنا| (?:في|على) (?:هذه )?(?:الصورة|الصفحة|المستند))?",
    r"(?:اقرا|استخرج|انسخ) (?:كل )?(?:النص|الكلمات|رمز qr)(?: (?:من|في) (?:هذه )?(?:الصورة|الصفحة|المستند))?",
)  # fmt: skip
_EDGES = " \t\r\n.!?:;,。！？、،؟¡¿\"'«»“”„-"


@cache
def _sentences() -> re.Pattern[str]:
    """Return one expression for all sentences. It takes 20 ms to compile, so ``_outline`` is tried before it."""
    every = "|".join((*_LATIN, *_OTHERS))
    for word, meant in _WORDS.items():
        every = every.replace(word, meant)
    return _request(every)


@cache
def _outline(ascii_only: bool) -> re.Pattern[str]:
    """Return the sentences with anything in place of a placeholder: what it does not match, they do not either.

    Sentences in other scripts are left out for a question without any letter of them.
    """
    every = "|".join(_LATIN if ascii_only else (*_LATIN, *_OTHERS))
    for word in _WORDS:
        every = every.replace(word, ".*")
    return _request(every)


def _request(sentences: str) -> re.Pattern[str]:
    return re.compile(f"{_POLITE}(?:{fold_text(sentences)}){_TAIL}")


def asks_for_words(question: str) -> bool:
    """Return whether a question about pictures asks for the words in them and nothing else.

    >>> asks_for_words("What does the picture say?"), asks_for_words("Was steht auf dem Bild?")
    (True, True)
    >>> asks_for_words("What does the picture say about the rent?"), asks_for_words("Read the text and translate it.")
    (False, False)
    """
    if len(question) > MOST:
        return False
    plain = re.sub(r"\s+", " ", fold_text(question.replace("’", "'"))).strip(_EDGES)
    if not plain or _outline(plain.isascii()).fullmatch(plain) is None:
        return False
    return _sentences().fullmatch(plain) is not None


def with_words_alone(facts: QuestionFacts, question: str) -> QuestionFacts:
    """Return the facts about a question; if it asks for the words alone, pictures and documents are needed for them."""
    if not asks_for_words(question):
        return facts
    needed = (Need(aspect="words"),)
    others = tuple(each for each in facts.media if each.medium not in _READ)
    media = (*(MediumNeeds(medium=medium, needed=needed) for medium in _READ), *others)
    return QuestionFacts(by=facts.by, media=media, words_alone=True)


__all__ = ["asks_for_words", "with_words_alone"]
