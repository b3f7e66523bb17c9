"""Requests for the words of a picture and nothing else are told from questions about the words."""

from __future__ import annotations

import time

import pytest

from intermodal.questions.keyword_needs import needs_from_keywords
from intermodal.questions.word_requests import asks_for_words, with_words_alone

WORDS_ALONE = """
What does the picture say?
what does this say
What does it say?
What does the sign say?
What is written here?
What's written on the label?
What text is in this image?
What is the text in the image?
Read the text.
Read this.
Please read the text in the photo.
Can you transcribe this image?
Transcribe the text in this scan, word for word.
Extract all the text from this image
OCR this
OCR
Give me the text of the document
Read the QR code
Scan the barcode
What does the QR code contain?
What does the QR code say?
What is in the QR code?
Was steht auf dem Bild?
Was steht hier?
Was steht da geschrieben?
Lies den Text vor.
Bitte lies mir den Text vor
Transkribiere das Bild
Extrahiere den gesamten Text aus dem Bild
Den Text abtippen
Qu'est-ce qui est écrit ?
Qu’est-ce qui est écrit sur l'image ?
Que dit cette image ?
Lis le texte de l'image
Extrais le texte, s'il te plaît
¿Qué dice la imagen?
¿Qué pone aquí?
Lee el texto de la imagen
Transcribe el texto
O que está escrito na imagem?
O que diz a imagem?
Leia o texto da imagem
Cosa c'è scritto?
Che cosa dice il cartello?
Leggi il testo dell'immagine
Estrai il testo dall'immagine
Что здесь написано?
Что написано на картинке?
Прочитай текст на изображении
Распознай текст
图片上写了什么？
图中写的是什么
提取图片中的文字
识别文字
何と書いてありますか？
この画像には何と書かれていますか
画像のテキストを抽出してください
文字起こししてください
ماذا كتب هنا؟
ما المكتوب في الصورة؟
استخرج النص من الصورة
"""
ABOUT_THE_WORDS = """
What does the picture say about the rent?
What does the picture say and is it true?
What does it say in German?
Read the text and summarise it.
Transcribe the text and translate it into French
Extract the total
What is written under the total?
Read the meter
What does this sign mean?
What does the chart say?
What is in this picture?
What is this?
Describe the picture
Read this and tell me who wrote it
What is the text about?
Is there any text in this image?
How many words are in the picture?
Translate the text
What language is the text in?
What does the second line say?
What does the man say?
Which word is misspelled?
Extract all dates from this image
Give me the text as JSON
Summarise
Was steht auf dem Bild über die Miete?
Was steht oben links?
Lies den Text und fasse ihn zusammen
Was ist auf dem Bild?
Que dit le texte sur le loyer ?
Qu'est-ce que c'est ?
Résume le texte
¿Qué dice sobre el precio?
¿Qué es esto?
O que é isto?
Cosa c'è nell'immagine?
Cosa dice della caparra?
Что на картинке?
О чём текст?
图片上有什么？
翻译图片中的文字
何が写っていますか
テキストを翻訳してください
ما هذا؟
What does the QR code look like?
Is the QR code valid?
Where does the QR code lead, and is it safe?
Read the text in the red box
Transcribe the handwriting and correct mistakes
who is it
it
text
read
this picture
say
document
"""


@pytest.mark.parametrize("question", WORDS_ALONE.strip().split("\n"))
def test_a_request_for_the_words_alone_is_one_in_ten_languages(question: str) -> None:
    assert asks_for_words(question)


@pytest.mark.parametrize("question", ABOUT_THE_WORDS.strip().split("\n"))
def test_a_question_about_the_words_or_the_picture_is_none(question: str) -> None:
    assert not asks_for_words(question)


def test_what_the_words_alone_are_asked_of_is_needed_for_nothing_else() -> None:
    said = "What does the picture say?"
    found = with_words_alone(needs_from_keywords(said), said)
    assert found.words_alone
    assert [need.aspect for need in found.of("photo").needed] == ["words"]
    said = "What does the picture show?"
    other = with_words_alone(needs_from_keywords(said), said)
    assert not other.words_alone and [need.aspect for need in other.of("photo").needed] == ["appearance"]


@pytest.mark.parametrize("question", ["please " * 22, "all the of " * 14 + "text", "the " * 40, "на " * 50, "图" * 150])
def test_a_question_of_many_equal_words_is_read_in_an_instant(question: str) -> None:
    """Backtracking would take half a minute for the first of them."""
    asks_for_words("compiled before it is timed")
    began = time.process_time()
    assert not asks_for_words(question)
    assert time.process_time() - began < 1
