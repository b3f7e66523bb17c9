"""Detects requests for the words of files and nothing else.

Examples: "What does the picture say?", "Transcribe this", "Read the code". OCR and speech recognition answer these
without a language model. Questions about the words ("What does it say about the rent?") and requests for further
processing ("Transcribe and summarise") are different, so a request matches only if all of it is one of the sentences
below.

Each sentence applies to some media. A picture or page has words to read, a recording has spoken words, and a video has
both: for a video, a sentence matches only if it states which ("What is said?", "Transcribe"). Languages: en de fr es pt
it ru zh ja ar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

from intermodal.core.content import Kind
from intermodal.plans.facts import Medium, MediumNeeds, Need, QuestionFacts
from intermodal.questions.answer_kinds import fold_text

MOST: Final = 160  # characters; longer questions never match

Source = Literal["page", "recording", "film"]
_KINDS: Mapping[Source, tuple[Kind, ...]] = {"page": ("image", "document"), "recording": ("audio",), "film": ("video",)}
_MEDIA: Mapping[Kind, tuple[Medium, ...]] = {
    "image": ("photo", "page", "image"), "document": ("document",), "audio": ("audio",), "video": ("video",),
}  # fmt: skip

# Nouns for any file and for each source, in languages with Latin script.
_FILE = (
    r"files?|attachments?|it|this|that|these|those|them|they|both|all|everything"
    r"|dateie?n?|anhange?|anlagen?|alles|beide"
    r"|fichiers?|pieces? jointes?|tout|ceci|cela"
    r"|archivos?|ficheros?|adjuntos?|esto|todo"
    r"|ficheiros?|arquivos?|anexos?|isto|isso|tudo"
    r"|file|allegat[oi]|questo|tutto"
)
_NOUNS: dict[Source, str] = {
    "page": (
        r"pictures?|images?|photos?|photographs?|screenshots?|scans?|pages?|documents?|pdfs?|signs?|letters?|receipts?"
        r"|notes?|labels?|posters?|cards?|slides?|forms?"
        r"|bild(?:e[rsn]?)?|bildern|fotos?|seiten?|dokument(?:s|en?)?|schild(?:e[rsn]?|ern)?|brief(?:e[sn]?)?"
        r"|belege?n?|zettel[sn]?|plakate?n?"
        r"|photographies?|captures?(?: d'ecran)?|panneaux?|lettres?|affiches?"
        r"|imagen(?:es)?|fotografias?|capturas?(?: de pantalla)?|paginas?|documentos?|cartel(?:es)?|cartas?|recibos?"
        r"|imagem|imagens|capturas? de tela|placas?|digitalizac(?:ao|oes)"
        r"|immagin[ei]|pagin[ae]|document[oi]|cartell[oi]|letter[ae]|ricevut[ae]|scansion[ei]"
    ),
    "recording": (
        r"recordings?|audios?|audio files?|sounds?|sound files?|speech|voices?|voice (?:messages?|memos?|notes?)"
        r"|voicemails?|messages?|calls?|phone calls?|conversations?|interviews?|meetings?|lectures?|podcasts?|talks?"
        r"|aufnahmen?|aufzeichnung(?:en)?|audiodateie?n?|tonaufnahmen?|sprachnachricht(?:en)?|sprachmemos?|gesprach(?:e?s?|en)"
        r"|anruf(?:e?s?|en)|telefonate?s?|besprechung(?:en)?|vortrag(?:e?s?)|vortrage|ton"
        r"|enregistrements?|messages? (?:vocal|vocaux)|appels?|conversations?|entretiens?|reunions?"
        r"|grabacion(?:es)?|mensajes? de voz|notas? de voz|llamadas?|conversacion(?:es)?|entrevistas?|reunion(?:es)?"
        r"|gravac(?:ao|oes)|mensage(?:m|ns) de voz|chamadas?|conversas?|reuniao|reunioes"
        r"|registrazion[ei]|messaggi[o]? vocal[ei]|chiamat[ae]|conversazion[ei]|intervist[ae]|riunion[ei]"
    ),
    "film": (
        r"videos?|films?|movies?|clips?|footage|video files?|videodateie?n?|filme?[sn]?|filmati?|filmato|peliculas?"
        r"|pelliculas?|conversations?|interviews?|meetings?|lectures?|talks?|gesprach(?:e?s?|en)|vortrag(?:e?s?)"
        r"|(?:speech|audio(?: tracks?)?|sound(?: ?tracks?)?|tonspur|ton|bande[- ]son|son|audio)"
        r"(?: (?:of|from|in|des|vom|du|de la|del|do|da) (?:the |this |my |el |la |o )?"
        r"(?:videos?|films?|movies?|clips?|peliculas?|filmato))?"
    ),
}  # fmt: skip
# Placeholders of the sentences: <it> is the file, <text> its words, <code> a bar code. Repetitions are possessive, so
# that a request that repeats "please" causes no backtracking. Noun phrases are found before sentences are tried: inside
# every sentence they would make the expression a megabyte long.
_BEFORE = (
    r"(?:(?:all|both|each|alle[nr]?|beide[nr]?|tous|toutes|todos|todas|tutti|tutte)(?: of)? )?"
    r"(?:(?:this|that|the|my|these|those|diese[smrn]?|de[mnrs]|das|die|ces?|cet(?:te)?|la|les?|l'|est[aeo]s?|el|los|las"
    r"|ess[ae]s?|[ao]s?|n[ao]s?|quest[aoei]|il|lo|gli|i|sull[aoe'] ?|sul|sui|sugli|[dn]ell[aoe'] ?|dall[aoe'] ?|dei|del"
    r"|dos|das|des|du|meine[rsmn]?) ?)?"
    r"(?:attached |scanned |angehangte[ns]? )?"
)
_IT = "\N{OBJECT REPLACEMENT CHARACTER}"  # placeholder of a noun phrase in the sentences
_LONGEST = 7  # words of a noun phrase: "all of the audio of the film"
_WORDS = {
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
    r"(?: ?,? ?(?:please|word for word|verbatim|exactly|as it is|aloud|out loud|for me|to me|in full|bitte|wortlich"
    r"|wort fur wort|s'il te plait|s'il vous plait|mot a mot|por favor|palabra por palabra|per favore"
    r"|parola per parola|пожалуиста|дословно))*+"
)  # fmt: skip

# Complete requests, without polite phrases and punctuation. Each table applies to the sources listed in ``_TABLES``.
_TO_READ = (
    r"what(?:'s| is| was| does it say) (?:written |printed |said )?(?:here|on it|there)",
    r"what(?:'s| is) (?:written|printed) (?:here|(?:in|on) <it>)",
    r"what (?:text|words)(?: is| are)?(?: written| printed)?(?: here| (?:in|on) <it>)",
    r"what(?:'s| is| are) (?:the text|the words|written) (?:in|on|of) <it>",
    r"what (?:do|does) <code> says?(?: on it)?",
    r"(?:read|ocr|copy)(?: me)? <it>(?: out)?",
    r"(?:read|ocr|recogni[sz]e|copy)(?: out)? <text>(?: written| printed)?(?: (?:from|in|on|of) <it>)?",
    r"(?:read|scan|decode) <code>(?: (?:from|in|on) <it>)?",
    r"what (?:does|do) <code> (?:contain|encode|hold)s?",
    r"what(?:'s| is) (?:in|on) <code>",
    r"(?:text recognition|ocr)",
    r"was steht (?:hier|da|dort|drauf|darauf|(?:auf|in|im) <it>)(?: geschrieben)?",
    r"was sagt <code>",
    r"(?:lies|lesen sie|erkenne)(?: mir)? (?:<text>|<it>|<code>)(?: (?:aus|von|auf|in|im|vom) <it>)?(?: vor| ab| aus)?",
    r"(?:<text>|<it>|<code>)(?: (?:aus|von|auf|in|im|vom) <it>)? (?:vorlesen|auslesen)",
    r"qu'est-ce qui est (?:ecrit|imprime)(?: ici| (?:sur|dans) <it>)?",
    r"que dit <code>",
    r"(?:lis|lisez|copie|copiez)(?:-moi)? (?:<text>|<it>|<code>)(?: (?:de|du|des|dans|sur|a partir de) <it>)?",
    r"que (?:pone|esta escrito)(?: aqui| (?:en )?<it>| <code>)?",
    r"que dice (?:aqui|<code>)",
    r"(?:lee|lea|leeme|copia|copie) (?:<text>|<it>|<code>)(?: (?:de|del|en) <it>)?",
    r"o que esta escrito(?: aqui| (?:em )?<it>| <code>)?",
    r"o que diz (?:aqui|<code>)",
    r"(?:leia|le|copie) (?:<text>|<it>|<code>)(?: (?:de|d[ao]s?|em|n[ao]s?) ?<it>)?",
    r"(?:che )?cosa (?:c'e scritto|e scritto)(?: qui| (?:su )?<it>| <code>)?",
    r"(?:che )?cosa dice (?:qui|<code>)",
    r"(?:leggi|legga|leggimi|copia) (?:<text>|<it>|<code>)"
    r"(?: (?:(?:da|dal|dall[ao'] ?|di|in|nel|nella|nell') ?)?<it>)?",
    r"что (?:здесь |тут |там )?(?:написано|напечатано)(?: здесь| тут| <ru>)?",
    r"что <ru> написано",
    r"(?:прочитаи|прочти|распознаи|перепиши)(?:те)? (?:мне )?(?:весь )?"
    r"(?:текст|надпись|qr-?код|штрих-?код|<ru>)(?: <ru>)?",
    r"[请請]?(?:这|這|此)?(?:张|張|幅|些)?<han>(?:片|像|中|里|裡|上)*(?:写|寫)(?:了|着|的)*(?:是)?什[么麼]",
    r"(?:上面|这里|這裡)(?:写|寫)(?:了|着|的)*(?:是)?什[么麼]",
    r"[请請]?(?:识别|識別|读出|讀出|念出|抄写)(?:一下)?(?:(?:这|這|此)?(?:张|張|些)?<han>(?:中|里|裡|上)*的?)?"
    r"(?:所有|全部)?的?(?:文字|文本|内容|二维码|二維碼|条形码|條碼)",
    r"(?:これらの|この)?(?:<kana>|ここ)?(?:に|には|の中に)?(?:は)?何(?:と|て|が)書(?:いて|かれて)(?:いますか|いる|ありますか|ある|あるの)?",
    r"(?:これらの|この)?<kana>?(?:の|から|内の)?(?:すべての|全ての)?(?:テキスト|文字|文章|qrコード|バーコード)を"
    r"(?:読んで|読み取って|読み上げて|認識して)(?:ください|くれ|下さい)?",
    r"ما(?:ذا)? (?:هو )?(?:ال)?(?:مكتوب|كتب)(?: هنا| (?:في|على) <arab>)?",
    r"(?:اقرا|انسخ) (?:كل )?(?:النص|الكلمات|رمز qr)(?: (?:من|في) <arab>)?",
)  # fmt: skip
_TO_READ_OR_HEAR = (
    r"what (?:do|does) <it> says?(?: on it)?",
    r"(?:transcribe|extract|type out|write out|get|give me|return|output|print|show me)(?: out)? <text>"
    r"(?: written| printed)?(?: (?:from|in|on|of) <it>)?",
    r"(?:convert|turn) <it> (?:in)?to (?:written |plain )?text",
    r"was sagt <it>",
    r"(?:extrahiere?|gib|tippe?)(?: mir)? <text>(?: (?:aus|von|auf|in|im|vom) <it>)?(?: aus| ab)?",
    r"<text>(?: (?:aus|von|auf|in|im|vom) <it>)? (?:abtippen|extrahieren)",
    r"que dit <it>",
    r"(?:extrais|extrayez) <text>(?: (?:de|du|des|dans|sur|a partir de) ?<it>)?",
    r"que dicen?(?: (?:en )?<it>)?",
    r"(?:extrae|extraiga) <text>(?: (?:de|del|en) ?<it>)?",
    r"o que diz(?: (?:em )?<it>)?",
    r"extraia <text>(?: (?:de|d[ao]s?|em|n[ao]s?) ?<it>)?",
    r"(?:che )?cosa (?:dice|dicono)(?: (?:su )?<it>)?",
    r"(?:estrai|estragga) <text>(?: (?:(?:da|dal|dall[aoe'] ?|dai|di|in|nel|nella|nell') ?)?<it>)?",
    r"извлеки(?:те)? (?:мне )?(?:весь )?текст(?: из)?(?: <ru>)?",
    r"[请請]?提取(?:一下)?(?:(?:这|這|此)?(?:张|張|段|些|个|個)?<han>(?:中|里|裡|上)*的?)?(?:所有|全部)?的?(?:文字|文本|内容)",
    r"(?:これらの|この)?<kana>?(?:の|から|内の)?(?:すべての|全ての)?(?:テキスト|文字|文章)を(?:抽出して|書き起こして)(?:ください|くれ|下さい)?",
    r"استخرج (?:كل )?(?:النص|الكلمات)(?: (?:من|في) <arab>)?",
)  # fmt: skip
_TO_TRANSCRIBE = (
    r"(?:transcribe|transcript|transcription|write out|type out)",
    r"(?:transcribe|write out|type out)(?: me)? <it>(?: out)?(?: (?:in)?to text)?",
    r"(?:a |the )?(?:full |complete |literal |verbatim )?(?:transcript|transcription)(?: of <it>)?",
    r"(?:make|create|write|get|give me|show me|i need|i want|return|output|produce)(?: me)? (?:a |the )?"
    r"(?:full |complete |literal |verbatim )?(?:transcript|transcription)(?: (?:of|from|for) <it>)?",
    r"(?:transkribiere?n?|transkribieren sie|verschriftliche|verschriftlichen)(?: mir)?(?: <it>)?",
    r"<it> (?:transkribieren|verschriftlichen|abtippen)",
    r"(?:(?:erstelle?|mach(?:e|en)?|schreibe?|gib)(?: mir)? )?(?:eine? |das |die )?"
    r"(?:transkript|transkription|abschrift)(?: (?:von )?<it>)?(?: erstellen)?",
    r"(?:transcris|transcrivez|transcrire)(?:-moi)?(?: (?:<it>|<text>(?: (?:de|du|des|dans|sur) ?<it>)?))?",
    r"(?:(?:fais|faites|donne|donnez)(?:-moi)? )?(?:une |la )?transcription(?: (?:de )?<it>)?",
    r"(?:transcribe|transcriba|transcribir)(?: (?:<it>|<text>(?: (?:de|del|en) ?<it>)?))?",
    r"(?:(?:haz|haga|dame|deme|quiero|necesito) )?(?:una |la )?transcripcion(?: (?:del? )?<it>)?",
    r"(?:transcreva|transcreve|transcrever)(?: (?:<it>|<text>(?: (?:de|d[ao]s?|em|n[ao]s?) ?<it>)?))?",
    r"(?:(?:faca|faz|quero|preciso de) )?(?:uma |a )?transcricao(?: (?:d[aeo]s? )?<it>)?",
    r"(?:trascrivi|trascriva|trascrivere)(?: (?:<it>|<text>(?: (?:(?:da|dal|di|in|nel|nella|nell') ?)?<it>)?))?",
    r"(?:(?:fai|fammi|dammi|voglio) )?(?:una |la )?trascrizione(?: (?:di |del )?<it>)?",
    r"(?:расшифруи|транскрибируи|запиши текстом)(?:те)?(?: (?:мне|<ru>|текст))*+",
    r"(?:сделаи(?:те)? )?(?:полную )?(?:расшифровк[ау]|транскрипци[юя])(?: <ru>)?",
    r"[请請]?(?:把|将|將)?(?:(?:这|這|此)?(?:张|張|段|些|个|個)?<han>)?(?:转录|轉錄|转写|轉寫|听写|聽寫)(?:一下)?"
    r"(?:(?:这|這|此)?(?:张|張|段|些|个|個)?<han>(?:中|里|裡|上)*)?的?(?:所有|全部)?(?:文字|文本|内容)?",
    r"[请請]?(?:把|将|將)(?:这|這|此)?(?:张|張|段|些|个|個)?<han>(?:转换?|轉換?)(?:成|为|為)(?:文字|文本)",
    r"(?:これらの|この)?<kana>?(?:を|の)?(?:文字起こし|書き起こし)(?:を)?(?:して)?(?:ください|下さい)?",
    r"(?:これらの|この)?<kana>(?:を|の内容を)?書き起こして(?:ください|下さい|くれ)?",
    r"(?:فرغ|فرغ لي|اكتب نص|قم بتفريغ|تفريغ|نسخ)(?: نص)?(?: <arab>)?",
)  # fmt: skip
_TO_HEAR = (
    r"what(?:'s| is| was| are| were)(?: being)? (?:said|spoken)(?: here| there| (?:in|on) <it>)?",
    r"what (?:do|did|are) they (?:say|saying)(?: (?:in|on) <it>)?",
    r"(?:write|type|put) (?:down |out )?(?:what (?:is|was) (?:said|spoken)|the speech|every word|the spoken words)"
    r"(?: down)?(?: (?:in|on|of) <it>)?",
    r"(?:speech to text|speech recognition)",
    r"was (?:wird|wurde) (?:hier |da |dort |(?:in|im|auf) <it> )?(?:gesagt|gesprochen)",
    r"was sagen sie(?: (?:in|im|auf) <it>)?",
    r"schreib(?:e|en sie)?(?: mir)? (?:auf|mit) ?, was (?:hier |da |(?:in|im|auf) <it> )?(?:gesagt|gesprochen) wird",
    r"que (?:dit-on|disent-ils|disent-elles)(?: (?:dans|sur) <it>)?",
    r"qu'est-ce qui (?:est|a ete) dit(?: ici| (?:dans|sur) <it>)?",
    r"qu'est-ce qu(?:'on|'ils|'elles) di(?:t|sent)(?: (?:dans|sur) <it>)?",
    r"que (?:se dice|dicen|se ha dicho)(?: aqui| en <it>)?",
    r"o que (?:e dito|foi dito|se diz|dizem|eles dizem)(?: aqui| (?:em )?<it>)?",
    r"(?:che )?cosa (?:viene detto|si dice|e stato detto|dicono)(?: qui| (?:in |nel(?:la)? ?)?<it>)?",
    r"что (?:здесь |тут |там )?(?:говорят|говорится|говорили|сказано|сказали)(?: здесь| тут)?(?: <ru>)?",
    r"(?:(?:这|這|此)?(?:张|張|段|些|个|個)?<han>(?:中|里|裡|上)+)?(?:他们|她们|他們|人们)?(?:都)?(?:说|說)(?:了|着|的)*(?:是|些)*什[么麼]",
    r"(?:これらの|この)?<kana>?(?:で|では|の中で)?(?:は)?何(?:と|て|を)?(?:言って|話して)(?:いますか|いる|いるの)",
    r"(?:これらの|この)?<kana>?(?:で|では|の中で)?(?:は)?何が(?:話されて|語られて)(?:いますか|いる|いるの)",
    r"ماذا (?:يقال|قيل|يقولون|قالوا)(?: هنا| في <arab>)?",
)  # fmt: skip
_TABLES: tuple[tuple[tuple[str, ...], tuple[Source, ...]], ...] = (
    (_TO_READ, ("page",)),
    (_TO_READ_OR_HEAR, ("page", "recording")),
    (_TO_TRANSCRIBE, ("page", "recording", "film")),
    (_TO_HEAR, ("recording", "film")),
)
# Nouns for each source, and for any file, in languages with other scripts.
_RU: dict[Source, str] = {
    "page": r"картин\w+|изображени\w+|фото|фотографи\w+|скан\w*|страниц\w+|документ\w*|файл\w*",
    "recording": (
        r"запис[ьиеях]+м?|аудио\w*|звук\w*|разговор\w*|звон\w+|голосово\w+|сообщени\w+|интервью|лекци\w+|файл\w*"
    ),
    "film": r"видео\w*|фильм\w*|ролик\w*|клип\w*|запис[ьиеях]+м?|разговор\w*|интервью|лекци\w+",
}
_HAN: dict[Source, str] = {
    "page": r"(?:[图圖照]片?像?|扫描件?|文件|文档|文檔|截图|pdf)",
    "recording": r"(?:录音|錄音|音频|音頻|语音|語音|对话|對話|电话|電話|会议|會議|采访|文件)",
    "film": r"(?:视频|視頻|影片|录像|錄像|短片)",
}
_KANA: dict[Source, str] = {
    "page": r"(?:画像|写真|スキャン|ページ|書類|文書|ファイル|pdf)",
    "recording": r"(?:音声|録音|会話|通話|会議|インタビュー|音声ファイル|ファイル)",
    "film": r"(?:動画|ビデオ|映像|映画)",
}
_ARAB: dict[Source, str] = {
    "page": r"(?:هذه |هذا )?(?:الصورة|الصور|الصفحة|الصفحات|المستند|المستندات|الملف|الملفات)",
    "recording": r"(?:هذه |هذا )?(?:التسجيل|التسجيلات|الصوت|المقطع الصوتي|المكالمة|المحادثة|الملف|الملفات)",
    "film": r"(?:هذه |هذا )?(?:الفيديو|المقطع|الفيلم)",
}
_EDGES = " \t\r\n.!?:;,。！？、،؟¡¿\"'«»“”„-"


@cache
def _sentences(source: Source) -> re.Pattern[str]:
    """Return one expression for all sentences about a source.

    It takes 10 ms to compile, so ``_outline`` is tried first.
    """
    every = "|".join(sentence for table, sources in _TABLES if source in sources for sentence in table)
    words = {
        **_WORDS, "<it>": _IT,
        "<ru>": rf"(?:(?:на|в|во|с|со|из|эти|этих|этои|этом|этого|этот|эту|это) )*+(?:{_RU[source]})",
        "<han>": _HAN[source], "<kana>": _KANA[source], "<arab>": _ARAB[source],
    }  # fmt: skip
    for word, expansion in words.items():
        every = every.replace(word, expansion)
    return _request(every)


@cache
def _outline(ascii_only: bool) -> re.Pattern[str]:
    """Return an expression that accepts every sentence with any text in place of a placeholder.

    Questions that it rejects match no sentence. If ``ascii_only``, sentences in other scripts are left out.
    """
    every = "|".join(each for table, _ in _TABLES for each in table if not ascii_only or each.isascii())
    return _request(re.sub("<[a-z]+>", ".*", every))


def _request(sentences: str) -> re.Pattern[str]:
    return re.compile(f"{_POLITE}(?:{fold_text(sentences)}){_TAIL}")


@cache
def _noun_phrase_pattern(source: Source) -> re.Pattern[str]:
    """Return the expression for the noun phrases that denote a file of a source."""
    noun_pattern = f"{_NOUNS[source]}|{_NOUNS['recording']}" if source == "film" else _NOUNS[source]
    return re.compile(f"{_BEFORE}(?:{noun_pattern}|{_FILE})")


def _is_word_request(plain: str, source: Source) -> bool:
    """Return whether a folded question is a sentence about a source, with or without a noun phrase for the file."""
    sentences, phrase = _sentences(source), _noun_phrase_pattern(source)
    if sentences.fullmatch(plain):
        return True
    words = plain.split(" ")
    spans = (
        (start, end) for start in range(len(words)) for end in range(start + 1, min(start + _LONGEST, len(words)) + 1)
    )
    return any(
        phrase.fullmatch(" ".join(words[start:end]))
        and sentences.fullmatch(" ".join((*words[:start], _IT, *words[end:])))
        for start, end in spans
    )


def kinds_asked_for_words(question: str) -> tuple[Kind, ...]:
    """Return the kinds of files whose words alone a question asks for; () for any other question.

    >>> kinds_asked_for_words("What does the picture say?"), kinds_asked_for_words("Was wird gesagt?")
    (('image', 'document'), ('audio', 'video'))
    >>> kinds_asked_for_words("What does it say about the rent?"), kinds_asked_for_words("Transcribe and translate")
    ((), ())
    """
    if len(question) > MOST:
        return ()
    folded = fold_text(question.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).replace(_IT, "")
    plain = re.sub(r"\s+", " ", folded.replace(",", " , ")).strip(_EDGES)
    if not plain or _outline(plain.isascii()).fullmatch(plain) is None:
        return ()
    found: tuple[Kind, ...] = ()
    for source, kinds in _KINDS.items():
        if _is_word_request(plain, source):
            found = (*found, *kinds)
    return found


# Between two clauses whose spaces are single: a run of spaces would be looked at again from each of them.
_AND = re.compile(r"(?:[,;] ?|[.?!] | )(?:and|und|et|y|e|ed|и|以及|和|そして|و) |[.?!;] ", re.IGNORECASE)


def split_word_request(question: str) -> tuple[str, tuple[Kind, ...]] | None:
    """Split a question of two clauses, one of which asks for words alone; None for any other question.

    Returns the other clause, and the kinds of files whose words alone are asked for.

    >>> split_word_request("How long is it and what does it say?")
    ('How long is it', ('image', 'document', 'audio'))
    """
    if len(question) > MOST:
        return None
    question = " ".join(question.split())
    for place in _AND.finditer(question):
        first, second = question[: place.start()].rstrip(), question[place.end() :]
        for clause, other in ((second, first), (first, second)):
            if any(map(str.isalnum, other)) and (kinds := kinds_asked_for_words(clause)):
                return other, kinds
    return None


def with_words_and_properties(
    facts: QuestionFacts, kinds: tuple[Kind, ...], properties: QuestionFacts
) -> QuestionFacts:
    """Return the facts with words and properties as the only needs, for kinds of which nothing else is asked for.

    ``properties``: the facts of the clause beside the one that asks for words.
    """
    alone: list[Kind] = [
        kind for kind in kinds if all(properties.needs_of(medium).properties_answer for medium in _MEDIA[kind])
    ]
    media: list[Medium] = [medium for kind in alone for medium in _MEDIA[kind]]
    both = tuple(
        MediumNeeds(medium=medium, needed=(Need(aspect="words"),), properties=properties.needs_of(medium).properties)
        for medium in media
    )
    others = tuple(each for each in facts.media if each.medium not in media)
    return QuestionFacts(by=facts.by, media=(*both, *others), words_alone=tuple(alone))


def with_words_alone(facts: QuestionFacts, question: str) -> QuestionFacts:
    """Return the facts with ``words`` as the only need for kinds whose words alone the question asks for."""
    kinds = kinds_asked_for_words(question)
    if not kinds:
        return facts
    media: list[Medium] = [medium for kind in kinds for medium in _MEDIA[kind]]
    others = tuple(each for each in facts.media if each.medium not in media)
    needed = tuple(MediumNeeds(medium=medium, needed=(Need(aspect="words"),)) for medium in media)
    return QuestionFacts(by=facts.by, media=(*needed, *others), words_alone=kinds)


__all__ = ["kinds_asked_for_words", "with_words_alone", "with_words_and_properties", "split_word_request"]
