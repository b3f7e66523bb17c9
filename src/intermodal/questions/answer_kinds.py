"""Detects the kind of answer that a question asks for, by words of ten languages.

``cost_model/answer_length.py`` uses the result. The kind depends on the instruction ("summarise", "fasse … zusammen",
"总结"), not on a noun in the question: whether a letter is dated is a fact, and only a letter that is to be written is
long. A verb counts only where an instruction begins: at the beginning of a clause, or after "please" and "can you".
Texts and patterns are compared without case and accents. Languages: en de fr es pt it (Latin), zh ja (han, kana), ru
(cyrillic), ar (arabic).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NamedTuple

# An instruction may begin after these.
_ORDER = re.compile(
    r"^|[.!?:;,\n。、؟،¡¿]\W{0,3}|\b(?:please|and|then|also|just|you|kindly|bitte|und|dann|mir|kurz"
    r"|merci de|veuillez|et|puis|peux-tu|pouvez-vous|pourrais-tu|pourriez-vous|moi|me|vous"
    r"|por favor|y|luego|puedes|puede|podrias|podria|e|pode|poderia|favor|per favore|poi|puoi|potresti|potrebbe"
    r"|puo)\s"
)
_ORDER_ELSEWHERE = re.compile(
    r"^|[.!?:;,\n。、؟،¡¿]\W{0,3}|[请請能你您我们來来再并並后後]|可以|幫忙|帮忙|麻烦|麻煩|一下|فضلك |رجاء |\bو"
)
# Placeholders in the tables below, and their expressions. "~" is any character of the same sentence.
_WORDS = {
    "~": r"[^.!?\n。]",
    "<of>": r"(?:[把将將对對用為为给給].{1,20}?)?",
    "<make>": (
        r"(?:give|make|create|generate|produce|prepare|need|want|provide|tell|send"
        r"|gib |mach|erstell|generier|brauche|fertige"
        r"|fais|faites|donne|cree|prepare|genere|veux|voudrais"
        r"|haz|haga|dame|deme|crea|genera|necesito|quiero|prepara"
        r"|faca|faz|crie|gere|preciso|quero"
        r"|fai|fammi|dammi|fornisci|voglio)"
    ),
    "<things>": (
        r"(?:summary|report|story|essay|letter|e-?mail|poem|description|explanation|overview|minutes|article"
        r"|zusammenfassung|bericht|geschichte|aufsatz|brief|gedicht|beschreibung|erklarung|uberblick|protokoll"
        r"|resume|rapport|histoire|lettre|courriel|poeme|compte[- ]rendu|synthese"
        r"|resumen|informe|historia|cuento|ensayo|carta|correo|poema|descripcion|explicacion"
        r"|resumo|relatorio|redacao|descricao|explicacao"
        r"|riassunto|sintesi|relazione|rapporto|storia|lettera|poesia|descrizione|spiegazione)"
    ),
    "<formats>": (
        r"(?:html|css|json|yaml|xml|csv|markdown|latex|svg|sql|react|vue|tailwind|python|javascript|typescript"
         r"|java|rust"
        r"|kotlin|swift|mermaid|code|quellcode|codigo|codice|кода?|代码|代碼|コード|كود)"
    ),
    "<convert>": (
        r"(?:convert|turn|transform|port|implement|rebuild|code"
        r"|konvertier|wandle|wandel|umwandeln|bau|ubertrag"
        r"|transforme|implemente"
        r"|convierte|transforma|pasa"
        r"|converta|passe|converti|trasforma"
        r"|преобразу|конвертиру|преврати|сверста"
        r"|حول|تحويل)"
    ),
}  # fmt: skip

# By kind and language: verbs that count at the beginning of an instruction, and expressions that count anywhere. The
# first match wins. Languages: en de fr es pt it.
_Table = dict[str, tuple[tuple[str, str], ...]]
_LATIN: _Table = {
    "word": (
        ("", r"one word|single word|yes or no|true or false|only the (?:number|name|date|amount)"
         r"|(?:what is the|what's the|give|suggest|find|write|propose|make)\b~{0,30}\b(?:title|slogan)\b"),
        ("", r"(?:ein|einem|einziges) wort\b|ja oder nein|wahr oder falsch"
         r"|nur (?:die zahl|den namen|das datum|den betrag)"),
        ("", r"(?:un|seul) mot\b|oui ou non|vrai ou faux"
         r"|(?:seulement|uniquement|que) (?:le nombre|le nom|la date|le montant)"),
        ("", r"una (?:sola )?palabra|si o no\b|verdadero o falso|solo (?:el numero|el nombre|la fecha|el importe)"),
        ("", r"uma (?:so |unica )?palavra|sim ou nao|verdadeiro ou falso"
         r"|(?:so|apenas) (?:o numero|o nome|a data|o valor)"),
        ("", r"una (?:sola )?parola|si o no\b|vero o falso|solo (?:il numero|il nome|la data|l'importo)"),
    ),
    "sentence": (
        ("", r"\b(?:one|1|two|2|a|a single) (?:short )?sentences?|\bbriefly\b|\bin short\b"),
        ("", r"\b(?:ein|einem|zwei) (?:kurzen? )?satz(?:en|e)?\b|\bganz kurz\b|\bin kurze\b|\bknapp\b"),
        ("", r"\b(?:une|deux) (?:courtes? |seule )?phrases?\b|\bbrievement\b|\ben bref\b"),
        ("", r"\b(?:una|dos) (?:sola )?(?:frases?|oracion(?:es)?)\b|\bbrevemente\b|\ben pocas palabras\b"),
        ("", r"\b(?:uma|duas) (?:so |unica )?frases?\b|\bresumidamente\b|\bem poucas palavras\b"),
        ("", r"\b(?:una|due) (?:sola )?frasi?\b|\b(?:una|sola) frase\b|\bin breve\b|\bin poche parole\b"),
    ),
    "list": (
        (r"(?:me )?(?:list|enumerate)\b",
         r"\bname (?:two|three|four|five|six|all|some|\d{1,3})\b"
         r"|\b(?:as|in|into|use|with|to) (?:\w{1,12} )?bullets?\b"
         r"|\b(?:make|give|create|write|need|want)\b~{0,30}\blist\b|\bwhat are the (?:\w{1,12} )?steps\b"
         r"|\b(?:give|list|name|write|in)\b~{0,20}\bsteps\b"),
        (r"(?:liste|listen sie|zahle?|zahlen sie)\b~{0,150}\bauf\b",
         r"\b(?:als|in) (?:einer )?(?:liste|stichpunkte|stichworte)"
         r"|\bnenne? (?:mir )?(?:zwei|drei|vier|funf|alle|einige|\d{1,3})\b|\b(?:auflisten|aufzahlen)\b"),
        (r"liste|listez|lister|enumere|enumerez|enumerer",
         r"\b(?:cite|citez|nomme|donne|donnez)(?:-moi)? (?:deux|trois|quatre|cinq|tous|toutes|\d{1,3})\b"
         r"|\b(?:fais|faites|dresse|dressez)\b~{0,20}\bliste\b|\bsous forme de liste\b"),
        (r"lista|liste|listar|enumera|enumere|enumerar",
         r"\b(?:nombra|nombre|menciona) (?:dos|tres|cuatro|cinco|todos|todas|\d{1,3})\b"
         r"|\b(?:haz|haga|dame|crea)(?:me)?\b~{0,20}\blista\b"),
        ("", r"\b(?:cite|nomeie) (?:dois|duas|tres|quatro|cinco|todos|todas|\d{1,3})\b"
         r"|\b(?:faca|faz|crie)\b~{0,20}\blista\b"),
        (r"elenca|elenchi|elencare|elencami",
         r"\bnomina (?:due|tre|quattro|cinque|tutti|\d{1,3})\b"
         r"|\b(?:fai|fammi|crea|dammi)\b~{0,20}\b(?:lista|elenco)\b"),
    ),
    "long": (
        (r"explain|describe|summari[sz]e|compare|discuss|write|draft|compose|outline|elaborate|sum up|analy[sz]e",
         r"^why\b|\bhow (?:do|does|can|to|should)\b|\bin detail\b|^(?:an? )?(?:\w{1,12} )?summary\b"),
        (r"(?:(?:be)?schreib(?:e|en sie|t)?|erklar(?:e|en sie|t)?|erlauter(?:e|n sie)|verfass(?:e|en sie|t)?"
         r"|vergleich(?:e|en sie)?|erzahl(?:e|en sie)?|analysier(?:e|en sie)?)\b",
         r"\bfass(?:e|en sie|t)?\b~{0,150}\bzusammen\b"
         r"|\b(?:kannst|konntest|konnen|konnten|wurdest|wurden|sollst|mochte)\b~{0,150}\b(?:zusammenfassen"
         r"|beschreiben|erklaren|erlautern|schreiben|verfassen|vergleichen|analysieren)\b"
         r"|\b(?:zusammenfassen|beschreiben|erklaren|erlautern|vergleichen|analysieren)[.!]?$"
         r"|^(?:warum|wieso|weshalb)\b|^wie (?:kann|konnen|funktioniert|soll|macht)\b|\bausfuhrlich\b"),
        (r"resume[rz]?|decris|decrivez|decrire|explique[rz]?|ecris|ecrivez|ecrire|redige[rz]?|compare[rz]?"
         r"|raconte[rz]?|analyse[rz]?",
         r"^pourquoi\b|^comment (?:puis|peut|faire|faut|fonctionne|ca)\b|\ben detail\b"),
        (r"(?:resum(?:e|a|en|ir|eme|elo)|describ(?:e|a|en|ir|eme|elo)|expli(?:ca|que|quen|car|came|queme)"
         r"|escrib(?:e|a|ir|eme)|redact(?:a|e|ar)|compar(?:a|e|ar)|cuenta|cuentame|analiz(?:a|ar)|analice)\b",
         r"^\W{0,2}por que\b|^\W{0,2}como (?:puedo|se puede|funciona|hago|debo)\b|\ben detalle\b"
         r"|\bdetalladamente\b"),
        (r"(?:resumir|descrev(?:a|e|er)|explicar|escrev(?:a|e|er)|redija|conte|analis(?:e|ar)|compar(?:e|ar))\b",
         r"^porque\b|^como (?:posso|funciona|faco|devo)\b|\bem detalhes?\b|\bdetalhadamente\b"),
        (r"(?:riassum(?:i|a|ere|imi)|descriv(?:i|a|ere|imi)|spieg(?:a|ami|hi|are)|scriv(?:i|a|ere|imi)"
         r"|confront(?:a|i|are)|raccont(?:a|ami|i)|analizz(?:a|i|are))\b",
         r"^perche\b|^come (?:posso|funziona|faccio|devo|si fa)\b|\bin dettaglio\b|\bdettagliatamente\b"),
        ("", r"\b<make>\w{0,4}\b~{0,40}\b<things>\b"),
        ("", r"\b<convert>\w{0,5}\b~{0,100}\b<formats>\b"),
    ),
    "whole": (
        (r"read|translate|transcribe|quote",
         r"\bwhat does (?:this|it) say|\bwhat (?:was|is) (?:said|written)"),
        (r"(?:ubersetz(?:e|en sie|t)?|transkribier(?:e|en sie)?|zitier(?:e|en sie)?|lies|lesen sie)\b",
         r"\b(?:ubersetzen|transkribieren|vorlesen|abtippen)[.!?]?$|^was (?:steht|wird|wurde)\b"),
        (r"tradui[st]|traduire|traduisez|transcri[st]|transcrire|transcrivez|lis|lisez|lire|citez",
         r"^qu'est-ce qui est (?:ecrit|dit)\b|^que dit\b"),
        (r"(?:traduce|traduzca|traducir|traduceme|transcrib(?:e|a|ir)|lee|lea|leer|leeme)\b",
         r"^\W{0,2}que (?:dice|pone)\b"),
        (r"(?:traduz|traduza|traduzir|transcrev(?:a|e|er)|leia|ler)\b",
         r"^o que (?:diz|esta escrito)\b"),
        (r"(?:traduci|traduca|tradurre|trascriv(?:i|a|ere)|leggi|legga|leggere|leggimi)\b",
         r"^(?:che )?cosa (?:dice|c'e scritto)\b"),
    ),
    "fact": (
        ("", r"^(?:who|whom|whose|what|when|where|which|how (?:much|many|long|old|far))\b"
         r"|^(?:is|are|was|were|does|did|do|has|have|can)\b"),
        ("", r"^(?:wer|wen|wem|wessen|was|wann|wo|wohin|woher|welche[rsnm]?|wie (?:viel|viele|lange|alt|weit|hoch"
         r"|heisst|heißt))\b"
         r"|^(?:ist|sind|war|waren|hat|haben|hatte|kann|gibt|steht|wird|wurde)\b"),
        ("", r"^(?:qui|que|quoi|quand|ou|quel|quels|quelle|quelles|combien|est-ce|qu'est-ce|est|sont|y a-t-il)\b"
         r"|\b(?:est|sont|a|ont|etait|sera)-(?:t-)?(?:il|elle|ils|elles|ce|on)\b"),
        ("", r"^\W{0,2}(?:quien|quienes|que|cuando|donde|cual|cuales|cuanto|cuantos|cuanta|cuantas|es|esta|estan|son"
         r"|hay|tiene)\b"),
        ("", r"^(?:quem|o que|quando|onde|qual|quais|quanto|quantos|quanta|quantas|e|esta|estao|sao|ha|tem)\b"),
        ("", r"^(?:chi|che|cosa|dove|quale|quali|qual|quanti|quante|c'e|ci sono|sono|ha)\b"),
    ),
}  # fmt: skip
# zh ja ru ar.
_OTHERS: _Table = {
    "word": (
        ("", r"是或否|是还是不是|一个词|一個詞|一个字|只(?:回答|给出|输出)(?:数字|名字|日期|金额|是)|(?:起|取"
         r"|想)(?:一个|个)?标题"),
        ("", r"はいかいいえ|はいまたはいいえ|一言で|一語で|単語(?:一つ|ひとつ|1つ)"),
        ("", r"\bодним словом|да или нет|только (?:число|имя|дату|сумму)"),
        ("", r"بكلمة واحدة|كلمة واحدة|نعم (?:او|ام) لا|صحيح (?:او|ام) خطا"),
    ),
    "sentence": (
        ("", r"一句话|一句話|两句话|简短|簡短|简要|簡要"),
        ("", r"一文で|1文で|二文で|簡潔に|手短に"),
        ("", r"одним предложением|в двух (?:словах|предложениях)|\bвкратце|\bкоротко"),
        ("", r"جملة واحدة|في جملتين|باختصار|بايجاز"),
    ),
    "list": (
        (r"<of>(?:列出|列举|列舉|罗列)",
         r"(?:列|做|给)一?(?:个|份)?(?:清单|列表)|说出[两三四五六几所]"),
        ("", r"(?:列挙|リストアップ|箇条書き)(?:に|を|で)?(?:し|せよ|$|[。!])|(?:挙げ|並べ)て|(?:リスト"
         r"|一覧)(?:に|を)(?:し|作|書)"),
        ("", r"\bперечисли|\b(?:состав|сдела|напиши|да)\w{0,5}~{0,20}\bсписок|\bсписком\b|\bпо пунктам"
         r"|\bназови(?:те)? (?:два|две|три|четыре|пять|все|\d{1,3})\b"),
        (r"(?:اذكر|اسرد|عدد|ضع قائمة|اعط(?:ني)? قائمة|اكتب قائمة|انشئ قائمة)\b",
         ""),
    ),
    "long": (
        (r"<of>(?:总结|總結|概括|概述|归纳|描述|形容|解释|解釋|说明|說明|介绍|介紹|写|寫|撰写|起草|比较|比較"
         r"|对比|對比|分析|讲述|讨论)(?!部分|[里中是在])",
         r"^(?:为什么|為什麼|为何|怎么|怎样|如何)|详细"),
        ("", r"(?:要約|説明|描写|比較|分析|解説|紹介|記述|執筆)(?:を?(?:して|しなさい|お願い|くだ|頼|でき|書いて"
         r"|作って|してくれ)|せよ|$|[。!])"
         r"|(?:まとめ|書い|比べ|教え|語っ)て(?:くだ|くれ|ほし|もら|$|[。!])|^(?:なぜ|どうして|どうやって"
         r"|どのように)|詳しく"),
        ("", r"\b(?:резюмируй|обобщи|суммируй|подытожь|опиши|объясни|поясни|напиши|сочини|сравни|расскажи"
         r"|проанализируй|перескажи|изложи|составь|обсуди)(?:те)?\b"
         r"|\b(?:можешь|можете|мог|могли|прошу|нужно)\b~{0,60}\b(?:описать|объяснить|написать|обобщить|пересказать"
         r"|сравнить|проанализировать|рассказать)"
         r"|\b(?:сделай|подготовь|дай|приготовь|нужн[оа])(?:те)?\b~{0,40}\b(?:резюме|описани|отч[её]т|обзор)"
         r"|^(?:почему|зачем)\b|^как (?:мне|можно|сделать|работает|это)\b|\bподробно"),
        (r"(?:لخص|صف|اشرح|اكتب|قارن|حلل|ناقش|وضح|احك)\w{0,3}\b",
         r"(?:يرجى|يمكنك|اريد|ارجو|قم ب|الرجاء) ?(?:منك )?(?:تلخيص|وصف|شرح|كتابة|مقارنة|تحليل)|^لماذا\b"
         r"|^كيف (?:يمكن|ا|ي|ت)|بالتفصيل"),
        ("", r"\b<convert>\w{0,6}\b~{0,100}\b<formats>\b"),
        ("", r"(?:转换|转成|转为|转化|轉換|轉成|变成|変換|写成|実装)~{0,40}<formats>|<formats>~{0,10}(?:に変換"
         r"|に直|にして|で書)"),
    ),
    "whole": (
        (r"<of>(?:翻译|翻譯|译成|转录|轉錄|转写|朗读|读出|念出|抄写|引用)",
         r"(?:写|寫|说|說)(?:了|着|的)?(?:些|是)?什[么麼]"),
        ("", r"(?:翻訳|和訳|英訳|文字起こし|書き起こ|音読|引用)(?:を?(?:して|し|お願い|くだ)|せよ|$|[。!])"
         r"|訳して|読み上げ|読んで|何(?:と|て|が)(?:書|言)"),
        ("", r"\b(?:переведи|прочитай|прочти|расшифруй|транскрибируй|процитируй)(?:те)?\b|\bперевести\b"
         r"|^что (?:здесь |тут |там )?(?:написано|говорит|сказано)"),
        (r"(?:ترجم|اقرا|فرغ|انسخ|اقتبس)\w{0,3}\b",
         r"(?:يرجى|يمكنك|اريد|ارجو) ?(?:منك )?(?:ترجمة|قراءة|تفريغ)|^ماذا (?:يقول|تقول|قال|كتب)"),
    ),
    "fact": (
        ("", r"谁|誰|什么|什麼|哪|几|幾|多少|吗|嗎|何时|是否|有没有"),
        ("", r"誰|何|いつ|どこ|どの|どちら|いくら|いくつ|ですか|ますか|ましたか|でしたか"),
        ("", r"^(?:кто|кого|кому|чей|чья|что|когда|где|куда|откуда|как(?:ой|ая|ое|ие|ого|ую)|сколько|есть ли"
         r"|\w{1,20} ли)\b"),
        ("", r"^(?:من|ما|ماذا|متى|اين|كم|هل|اي)\b"),
    ),
}  # fmt: skip
# Combining marks of the scripts above, after decomposition.
_MARKS = re.compile("[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u3099\u309a]")


class _Cue(NamedTuple):
    kind: str
    order: re.Pattern[str] | None
    phrase: re.Pattern[str]


def fold_text(text: str) -> str:
    """Return the text in lower case, without accents, with full-width characters replaced by their narrow forms.

    >>> fold_text("Résume ça！")
    'resume ca!'
    """
    return _without_accents(text.lower())


def _without_accents(text: str) -> str:
    return text if text.isascii() else _MARKS.sub("", unicodedata.normalize("NFKD", text))


@cache
def _compiled_patterns(latin: bool) -> tuple[_Cue, ...]:
    """Return the compiled patterns. Compiled on first use, because this takes a tenth of the package's import time."""
    end = r"\b" if latin else ""  # in Latin script a word boundary ends each verb
    found = []
    for kind, rows in (_LATIN if latin else _OTHERS).items():
        orders = "|".join(order for order, _ in rows if order)
        phrases = "|".join(phrase for _, phrase in rows if phrase)
        found.append(_Cue(kind, _compile(f"(?:{orders}){end}") if orders else None, _compile(phrases)))
    return tuple(found)


def _compile(pattern: str) -> re.Pattern[str]:
    for word, expansion in _WORDS.items():
        pattern = pattern.replace(word, expansion)
    return re.compile(_without_accents(pattern))


def answer_kind(start: str, latin: bool) -> str | None:
    """Return the kind of answer that the beginning of a question asks for, or None if no pattern matches.

    ``latin``: whether most of the text is in Latin script. Other texts are matched against their own script first.
    """
    plain = fold_text(start)
    found = None if latin else _first_match(plain, _compiled_patterns(latin=False), _ORDER_ELSEWHERE)
    return found or _first_match(plain, _compiled_patterns(latin=True), _ORDER)


def _first_match(plain: str, signs: tuple[_Cue, ...], begins: re.Pattern[str]) -> str | None:
    places = [found.end() for found in begins.finditer(plain)]
    for sign in signs:
        order = sign.order
        if order is not None and any(order.match(plain, place) for place in places):
            return sign.kind
        if sign.phrase.search(plain):
            return sign.kind
    return None
