"""What a question asks to be made is told in ten languages, by what is asked and not by a noun that occurs.

An answer of a "long" kind is planned with 200 tokens, a fact with 55.
"""

from __future__ import annotations

import pytest

from intermodal.cost_model.answer_length import base_kind, kind_of

QUESTIONS: dict[str, tuple[str, ...]] = {
    "long": (
        "Summarise this document", "Please summarize the report.", "Describe it", "Can you describe the photo?",
        "Explain the chart to me.", "Write a letter to the landlord.", "Draft an e-mail.", "Give me a summary.",
        "Convert this screenshot into HTML", "Turn the table into CSV.", "Why is the sky blue?",
        "How do I install it?",
        "Fasse das Dokument zusammen", "Beschreibe es", "Kannst du das Bild beschreiben?",
        "Schreib einen Brief an die Bank.",
        "Erkläre mir das Diagramm.", "Bitte fass den Vertrag zusammen.", "Wandle den Screenshot in HTML um.",
        "Warum ist der Himmel blau?", "Erstelle einen Bericht.",
        "Résume ce document", "Décris l'image.", "Peux-tu résumer cette vidéo ?", "Explique le graphique.",
        "Écris une lettre au propriétaire.", "Convertis cette capture d'écran en HTML.", "Pourquoi pleure-t-elle ?",
        "Resume este documento", "Describe la imagen.", "¿Puedes resumir el vídeo?", "Explícame el gráfico.",
        "Escribe una carta al banco.", "Convierte esta captura en HTML.", "¿Por qué llora?",
        "总结这份文件", "描述一下这张图片", "请写一封信给房东", "把这张截图转换成HTML", "为什么天空是蓝色的？",
        "請解釋這張圖表",
        "この文書を要約してください", "写真を説明して", "大家さんに手紙を書いてください",
        "このスクリーンショットをHTMLに変換して", "なぜ空は青いのですか",
        "Кратко не надо: опиши картинку.", "Опиши фотографию", "Обобщи этот документ", "Напиши письмо в банк.",
        "Преобразуй скриншот в HTML", "Почему она плачет?",
        "لخّص هذا المستند", "صف الصورة", "اكتب رسالة إلى البنك", "حوّل لقطة الشاشة إلى HTML", "لماذا تبكي؟",
        "Resuma este documento", "Descreva a imagem.", "Escreva uma carta ao banco.", "Explique o gráfico.",
        "Riassumi questo documento", "Descrivi l'immagine.", "Scrivi una lettera alla banca.", "Spiegami il grafico.",
    ),
    "fact": (
        "Is the letter handwritten?", "Is the letter dated 2024?", "Who wrote the report?",
        "What is the story about?",
        "Does the report list all costs?", "Is there a summary on page 2?", "Which title does she read?",
        "Was the e-mail sent on Monday?", "What does the essay compare?",
        "Ist der Brief datiert?", "Wer hat den Bericht geschrieben?", "Wie viele Personen sind zu sehen?",
        "Gibt es eine Zusammenfassung?",
        "La lettre est-elle datée ?", "Qui a écrit le rapport ?", "Combien de personnes y a-t-il ?",
        "¿Quién escribió la carta?", "¿Cuántas personas hay?", "¿Hay un resumen?",
        "这封信有日期吗？", "总结部分在哪一页？", "报告是谁写的？",
        "この手紙は誰が書きましたか", "要約は何ページにありますか",
        "Кто написал письмо?", "Сколько стоит отчёт?", "Есть ли дата на письме?",
        "من كتب الرسالة؟", "كم صف في الجدول؟", "هل التقرير مؤرخ؟",
        "Quem escreveu a carta?", "Quantas pessoas há?", "Chi ha scritto la lettera?", "Quante persone ci sono?",
    ),
    "whole": (
        "Translate the letter.", "Transcribe this recording.", "What does it say?", "Read the letter out.",
        "Übersetze den Brief.", "Lies den Brief vor.", "Traduis cette lettre.", "Traduce la carta.",
        "翻译这封信", "手紙を翻訳してください", "Переведи письмо", "ترجم الرسالة", "Traduza a carta.",
        "Traduci la lettera.",
    ),
    "list": (
        "List the ingredients.", "Name three birds.", "Liste alle Zutaten auf.", "Énumère les ingrédients.",
        "Enumera los ingredientes.", "列出所有配料", "材料を列挙してください", "Перечисли ингредиенты",
        "اذكر المكونات",
        "Faça uma lista dos ingredientes.", "Elenca gli ingredienti.",
    ),
    "sentence": (
        "Describe it in one sentence.", "Beschreibe es in einem Satz.", "Décris-le en une phrase.",
        "Descríbelo en una frase.", "用一句话总结", "一文で要約して", "Опиши одним предложением",
        "صفها في جملة واحدة",
    ),
    "word": (
        "Is it dry? Answer yes or no.", "Ist es trocken? Antworte mit ja oder nein.", "Réponds par oui ou non.",
        "回答是或否", "はいかいいえで答えて", "Ответь: да или нет?", "أجب بنعم أو لا",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "question"), [(kind, each) for kind, some in QUESTIONS.items() for each in some])
def test_the_kind_of_answer_is_told_by_what_is_asked_for(kind: str, question: str) -> None:
    assert base_kind(kind_of(question)) == kind


def test_case_and_accents_do_not_matter() -> None:
    assert kind_of("RESUME CE DOCUMENT") == kind_of("Résume ce document") == "long"
    assert kind_of("BESCHREIBE ES!") == kind_of("beschreibe es") == "long"
