"""Files that hold words, pictures and other files: each taken apart into Markdown, inside the sealed worker.

What belongs here is a reader of one format, ``convert(data, name, probe) -> Converted``, and what such readers share.
A row of ``media/worker.py`` names the reader of each media type and the packages that it needs. PDF is not here: its
pages are drawn and read (``media/document.py``).

converted.py  what a reader makes, and its limits              imported by everybody, needs nothing
package.py    a bounded ZIP container, its relations and XML
gallery.py    the pictures of one file: each once, bounded
word.py, slides.py, sheets.py   DOCX, PPTX, XLSX
web.py        HTML, and the HTML that other readers made
mail.py, outlook.py   EML, MSG: words and attached files
lettering.py  text that is not UTF-8
"""
