"""Requests for the words of files and nothing else are told from questions about the words."""

from __future__ import annotations

import time

import pytest

from intermodal.questions.keyword_needs import needs_from_keywords
from intermodal.questions.word_requests import kinds_asked_for_words, split_word_request, with_words_alone

READ = """
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
READ_OF_SEVERAL = """
What do the pictures say?
What do they say?
What do these scans say?
Extract the text from all the files
Extract the text from these documents.
Extract all text from both PDFs
Transcribe these pages
Give me the text of the attachments
Was steht auf den Bildern?
Was steht in den Dokumenten?
Lies alles vor
Extrahiere den Text aus den Dateien
Extrais le texte des images
Lis le texte de ces documents
Extrae el texto de los archivos
¿Qué dicen las imágenes?
Extraia o texto dos ficheiros
Estrai il testo dai documenti
Извлеки текст из этих файлов
提取这些图片中的文字
これらの画像のテキストを抽出してください
استخرج النص من الصور
"""
HEARD = """
What is said?
What's said here?
What is being said in the recording?
What was said in this call?
What do they say?
Write down what is said.
Write down every word of the conversation
Speech to text
Transcribe
Transcribe.
Please transcribe this
Transcribe it
Transcribe the recording
Transcribe this call, please.
Transcribe this voice message word for word
Can you transcribe the attached recording?
Transcript
Give me a transcript of the meeting
Make a full transcript of the interview
I need a transcript
Was wird gesagt?
Was wird in der Aufnahme gesagt?
Was wurde in dem Gespräch gesagt?
Was sagen sie?
Transkribiere die Aufnahme
Bitte transkribieren
Die Aufnahme transkribieren
Erstelle ein Transkript des Gesprächs
Schreib auf, was gesagt wird
Que dit-on ?
Qu'est-ce qui est dit dans cet enregistrement ?
Transcris cet enregistrement
Transcrivez l'appel, s'il vous plaît
Fais une transcription de l'entretien
¿Qué se dice?
¿Qué dicen en la grabación?
Transcribe esta grabación
Haz una transcripción de la llamada
O que é dito?
O que se diz na gravação?
Transcreva a gravação
Faça uma transcrição da chamada
Cosa viene detto?
Cosa si dice nella registrazione?
Trascrivi la registrazione
Fammi una trascrizione
Что здесь говорят?
Что сказано на записи?
Расшифруй запись
Транскрибируй этот разговор
Сделай расшифровку
说了什么？
录音里说了什么
转录这段录音
请听写一下
把这段录音转成文字
何と言っていますか
この録音で何が話されていますか？
この音声を文字起こししてください
録音を書き起こしてください
ماذا يقال؟
ماذا قالوا في التسجيل؟
فرغ التسجيل
"""
HEARD_IN_A_FILM = """
Transcribe
What is said?
What is said in the video?
Transcribe this video
Transcribe the audio of the video
Give me a transcript of the film
Was wird im Video gesagt?
Transkribiere das Video
Que dit-on dans la vidéo ?
¿Qué se dice en el vídeo?
O que é dito no vídeo?
Cosa viene detto nel video?
Что говорят в видео?
视频里说了什么
動画で何と言っていますか
ماذا يقال في الفيديو؟
"""
MORE_THAN_WORDS = """
Transcribe and summarise
Transcribe and summarize the call
Transcribe in bullet points
Transcribe it into English
Transcribe and translate
Transcribe with timestamps
Transcribe with the names of the speakers
Transcribe only what the customer says
Transcribe the first minute
Transcribe the part about the rent
Transcribe as JSON
Transcribe and correct the grammar
Transcribe without filler words
Who says what?
Who is speaking?
What does the customer say?
What does he say about the price?
What is said about the price?
What is said at the end?
What is said in French, in English?
What is said, and by whom?
What is said between the lines?
What was not said?
What is the call about?
What is the mood of the call?
What is decided in the meeting?
How many people speak?
In which language is it?
Is anything said?
Give me a summary of the transcript
Give me the minutes of the meeting
Make a list of what is said
Extract the text as a table
Extract the text of the second page
Extract the text from the red box in all pictures
Extract the names from the files
What do the pictures show?
What do the pictures have in common?
What do they say differently?
Which of the files says it?
Fasse zusammen, was gesagt wird
Was wird über den Preis gesagt?
Was wird am Ende gesagt?
Wer sagt was?
Transkribiere und fasse zusammen
Transkribiere in Stichpunkten
Transkribiere auf Englisch
Was steht auf dem zweiten Bild?
Was ist der Unterschied zwischen den Bildern?
Transcris et résume
Que dit-on du prix ?
Qui dit quoi ?
Transcribe y resume
¿Qué se dice del precio?
¿Quién dice qué?
Transcreva e resuma
O que é dito sobre o preço?
Quem diz o quê?
Trascrivi e riassumi
Cosa viene detto del prezzo?
Chi dice cosa?
Расшифруй и сделай выводы
Что говорят о цене?
Кто что говорит?
转录并总结
谁说了什么
他们为什么这么说
文字起こしして要約してください
誰が何を言っていますか
価格について何と言っていますか
لخص التسجيل
من قال ماذا؟
ماذا يقال عن السعر؟
"""
MORE_THAN_WORDS += """
Transcribe the call and email it to Anna
Transcribe the Spanish parts
Transcribe everything except the music
Transcribe the lyrics and explain them
Transcribe the last speaker
Transcribe every number that is said
Transcribe, then list the action items
Transcribe or describe it
Don't transcribe it
Should I transcribe it?
Can you transcribe French?
What is said about it?
What is said twice?
What is said in the second recording?
What did they say about it?
What do they say they want?
What do they mean?
What do they talk about?
What do they say in the background?
What does the speaker say next?
What does the recording say about me?
What is the recording?
What is the transcript about?
Is this transcript right?
Compare the transcript with the scan
Extract the text and count the words
Extract the text that is underlined
Extract the text in order of size
Extract the keywords
Extract the dates from the attachments
Give me the text in capital letters
Read the pages and compare them
Read the documents and tell me which is newer
Read between the lines
Convert these pages to HTML
Convert this to a table
Turn the recording into a story
Turn the picture into a poem
Was sagen sie über mich?
Was sagen die Bilder aus?
Schreib auf, was wichtig ist
Erstelle ein Protokoll des Gesprächs
Extrahiere die Namen aus den Dateien
Vergleiche die Texte
Transcris seulement la première minute
Que disent les images de la guerre ?
Extrais les dates
Transcribe sólo lo importante
¿Qué dicen las imágenes del clima?
Extraia apenas os nomes
O que dizem sobre mim?
Trascrivi solo le domande
Cosa dicono i giornali?
Расшифруй аббревиатуру
Извлеки имена из файлов
Что говорят эксперты?
转录第一分钟
提取图片中的日期
录音里谁在说话
这个视频讲了什么？
这段录音说了什么
この録音の要点を書き起こしてください
画像から日付を抽出してください
استخرج الأسماء من الصور
فرغ التسجيل ثم لخصه
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


@pytest.mark.parametrize("question", [*filter(None, (READ + READ_OF_SEVERAL).split("\n"))])
def test_a_request_for_the_words_of_pictures_and_documents_alone_is_one_in_ten_languages(question: str) -> None:
    assert {"image", "document"} <= {*kinds_asked_for_words(question)}


@pytest.mark.parametrize("question", HEARD.strip().split("\n"))
def test_a_request_for_what_is_said_alone_is_one_in_ten_languages(question: str) -> None:
    assert "audio" in kinds_asked_for_words(question)


@pytest.mark.parametrize("question", HEARD_IN_A_FILM.strip().split("\n"))
def test_of_a_film_what_is_said_can_be_asked_for_alone(question: str) -> None:
    assert "video" in kinds_asked_for_words(question)


@pytest.mark.parametrize("question", [*filter(None, (ABOUT_THE_WORDS + MORE_THAN_WORDS).split("\n"))])
def test_a_question_about_the_words_or_for_more_than_the_words_is_none(question: str) -> None:
    assert not kinds_asked_for_words(question)


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("What does the picture say?", {"image", "document"}),
        ("What is written here?", {"image", "document"}),
        ("OCR", {"image", "document"}),
        ("What does it say?", {"image", "document", "audio"}),
        ("Extract the text", {"image", "document", "audio"}),
        ("What is said?", {"audio", "video"}),
        ("Transcribe", {"image", "document", "audio", "video"}),
        ("Transcribe the scan", {"image", "document"}),
        ("Transcribe the video", {"video"}),
        ("What does the recording say?", {"audio"}),
    ],
)
def test_of_a_film_only_what_is_said_is_asked_for_alone_as_it_may_have_both(question: str, kinds: set[str]) -> None:
    assert {*kinds_asked_for_words(question)} == kinds


def test_what_the_words_alone_are_asked_of_is_needed_for_nothing_else() -> None:
    said = "What does the picture say?"
    found = with_words_alone(needs_from_keywords(said), said)
    assert found.words_alone == ("image", "document")
    assert [need.aspect for need in found.needs_of("photo").needed] == ["words"]
    said = "What does the picture show?"
    other = with_words_alone(needs_from_keywords(said), said)
    assert not other.words_alone and [need.aspect for need in other.needs_of("photo").needed] == ["appearance"]


@pytest.mark.parametrize("question", ["please " * 22, "all the of " * 14 + "text", "the " * 40, "на " * 50, "图" * 150])
def test_a_question_of_many_equal_words_is_read_in_an_instant(question: str) -> None:
    """Backtracking would take half a minute for the first of them."""
    kinds_asked_for_words("compiled before it is timed")
    began = time.process_time()
    assert not kinds_asked_for_words(question)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("How long is it and what does it say?", "How long is it"),
        ("What is said, and how long is the recording?", "how long is the recording?"),
        ("Wie lang ist die Aufnahme und was wird gesagt?", "Wie lang ist die Aufnahme"),
        ("Combien de temps dure l'enregistrement et qu'est-ce qui est dit ?", "Combien de temps dure l'enregistrement"),
        ("How long is it? What does it say?", "How long is it"),
        ("What does it say about salt and pepper?", None),
        ("How long is it and what does it say about the rent?", None),
        ("What does it say?", None),
        ("How long is it?", None),
    ],
)
def test_a_clause_for_the_words_is_told_from_the_one_beside_it(question: str, other: str | None) -> None:
    found = split_word_request(question)
    assert (found and found[0]) == other
