"""Text that does not state its encoding: the likeliest of those that are in use."""

from __future__ import annotations

import pytest

from intermodal.media.office.text_encoding import decode_text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a;b\n1;zwölf\n", "latin-1"),
        ("Müller, Jörg;Köln;1.234,50\nGröße GmbH;Überlingen;99,00", "latin-1"),
        ("naïve café – “quoted”", "cp1252"),
        ("£5 and 10 €", "cp1252"),
        ("Årsmøte på Røros", "latin-1"),
        ("Łódź, Kraków i Gdańsk", "cp1250"),
        ("Счёт на оплату № 17 от 3 марта. Покупатель: Ромашка, груз доставлен в порт.", "cp1251"),
        ("Привет, как дела? Всё хорошо, спасибо большое.", "koi8-r"),
        ("Τιμολόγιο πώλησης, το φορτίο έφτασε στο λιμάνι χθες το βράδυ", "cp1253"),
        ("日本語のテキスト", "cp932"),
        ("你好，世界。这是一个测试", "gb18030"),
    ],
)
def test_text_in_an_encoding_that_is_not_stated_is_read_whole(text: str, encoding: str) -> None:
    """A short one in windows-1252 came out in an encoding of Urdu."""
    assert decode_text(text.encode(encoding))[0] == text
