"""Whisper's English language names and their ISO 639-1 codes (three-letter where ISO 639-1 has none).

Source: the language list of OpenAI's Whisper (``whisper/tokenizer.py``); ISO 639 code tables.
"""

from __future__ import annotations

from intermodal.core.hints import hint
from intermodal.errors import UsageError

_ROWS = """
afrikaans af; albanian sq; amharic am; arabic ar; armenian hy; assamese as; azerbaijani az; bashkir ba; basque eu;
belarusian be; bengali bn; bosnian bs; breton br; bulgarian bg; burmese my; cantonese yue; castilian es; catalan ca;
chinese zh; croatian hr; czech cs; danish da; dutch nl; english en; estonian et; faroese fo; finnish fi; flemish nl;
french fr; galician gl; georgian ka; german de; greek el; gujarati gu; haitian ht; haitian creole ht; hausa ha;
hawaiian haw; hebrew he; hindi hi; hungarian hu; icelandic is; indonesian id; italian it; japanese ja; javanese jw;
kannada kn; kazakh kk; khmer km; korean ko; lao lo; latin la; latvian lv; letzeburgesch lb; lingala ln; lithuanian lt;
luxembourgish lb; macedonian mk; malagasy mg; malay ms; malayalam ml; maltese mt; mandarin zh; maori mi; marathi mr;
moldavian ro; moldovan ro; mongolian mn; myanmar my; nepali ne; norwegian no; nynorsk nn; occitan oc; panjabi pa;
pashto ps; persian fa; polish pl; portuguese pt; punjabi pa; pushto ps; romanian ro; russian ru; sanskrit sa;
serbian sr; shona sn; sindhi sd; sinhala si; sinhalese si; slovak sk; slovenian sl; somali so; spanish es;
sundanese su; swahili sw; swedish sv; tagalog tl; tajik tg; tamil ta; tatar tt; telugu te; thai th; tibetan bo;
turkish tr; turkmen tk; ukrainian uk; urdu ur; uzbek uz; valencian ca; vietnamese vi; welsh cy; yiddish yi; yoruba yo
"""
CODES: dict[str, str] = {}
for _row in _ROWS.replace("\n", " ").split(";"):
    _name, _code = _row.strip().rsplit(" ", 1)
    CODES[_name] = "jv" if _code == "jw" else _code


# Three-letter codes of media containers, where ISO 639-1 has two letters. Source: the same code tables (ISO 639-2,
# bibliographic and terminological codes).
_THREE = """
afr af; alb sq; sqi sq; amh am; ara ar; arm hy; hye hy; aze az; baq eu; eus eu; bel be; ben bn; bos bs; bul bg; bur my;
mya my; cat ca; chi zh; zho zh; cze cs; ces cs; dan da; dut nl; nld nl; eng en; est et; fin fi; fre fr; fra fr; geo ka;
kat ka; ger de; deu de; glg gl; gre el; ell el; guj gu; hau ha; heb he; hin hi; hrv hr; hun hu; ice is; isl is; ind id;
ita it; jav jv; jpn ja; kan kn; kaz kk; khm km; kor ko; lao lo; lat la; lav lv; lit lt; mac mk; mkd mk; may ms; msa ms;
mal ml; mar mr; mlt mt; mon mn; nep ne; nno nn; nob no; nor no; pan pa; per fa; fas fa; pol pl; por pt; pus ps; rum ro;
ron ro; rus ru; sin si; slo sk; slk sk; slv sl; som so; spa es; srp sr; swa sw; swe sv; tam ta; tel te; tgl tl; tha th;
tur tr; ukr uk; urd ur; uzb uz; vie vi; wel cy; cym cy; xho xh; yid yi; yor yo; zul zu; asm as; kir ky; kur ku; san sa;
snd sd; tat tt; tgk tg; tir ti; uig ug
"""
_OF_THREE = {pair.split()[0]: pair.split()[1] for pair in _THREE.replace("\n", " ").split(";")}


def code_of(language: str) -> str:
    """Return the code for a language name or code ("English", "en", "en-US", "eng" -> "en"); "" for anything else."""
    word = language.strip().lower()
    if word in CODES:
        return CODES[word]
    base = word.replace("_", "-").partition("-")[0]
    base = _OF_THREE.get(base, base)
    return base if 2 <= len(base) <= 3 and base.isascii() and base.isalpha() else ""


# ISO 639-1, every two-letter code. Source: the Library of Congress's code table (ISO 639-1 registration authority).
_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo
es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg
ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn
no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta
te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_WHISPER_ONLY = {"jv": "jw"}  # Javanese, as Whisper's token calls it
_EXAMPLES = "codes are ISO 639-1: en, fr, de, …"


def checked_language(language: str) -> str:
    """Return the code of a language given by the user; "" for "". Raises UsageError if there is no such language."""
    if not language.strip():
        return ""
    code = code_of(language)
    if code not in _ISO_639_1.split() and code not in CODES.values():
        raise UsageError(f"there is no language {language.strip()[:40]!r}", todo=_EXAMPLES)
    return code


def name_of(code: str) -> str:
    """Return the English name of a language; if unknown, a phrase with its code.

    >>> name_of("de"), name_of("es")
    ('German', 'Spanish')
    """
    found = _USUAL.get(code) or next((name for name, each in CODES.items() if each == code), "")
    return found.title() if found else f"the language {code!r} (ISO 639-1)"


# The usual name of languages that have several names in Whisper's list, if it is not the first.
_USUAL = {"es": "spanish", "lb": "luxembourgish", "pa": "punjabi", "ro": "romanian"}


def whisper_code(language: str) -> str:
    """Return the code of a language in Whisper's list. Raises UsageError if Whisper does not support the language."""
    code = checked_language(language)
    if code and code not in CODES.values():
        raise UsageError(
            f"Whisper was not taught the language {code!r}",
            todo=hint("leave {language} out, or use another speech recognition model ({model})"),
        )
    return _WHISPER_ONLY.get(code, code)


def iso_code(code: str) -> str:
    """Return the ISO code for a Whisper code."""
    return next((own_code for own_code, whisper in _WHISPER_ONLY.items() if whisper == code), code)
