"""Files that hold words, pictures and other files: each taken apart into Markdown, inside the sealed worker.

What belongs here is a reader of one format, ``convert(data, name, probe) -> Converted``, and what such readers share.
A row of ``media/worker.py`` names the reader of each media type and the packages that it needs. PDF is not here: its
pages are drawn and read (``media/document.py``).

converted.py  what a reader makes, and its limits              imported by everybody, needs nothing
package.py    a bounded ZIP container, its relations and XML
gallery.py    the pictures of one file: each once, bounded
nested.py     lists in lists                                       grid.py     one sheet as a table
fields.py     links of DOC and RTF                                 compound.py  what DOC, XLS and PPT lie in
word.py, slides.py, sheets.py         DOCX, PPTX, XLSX
word97.py, slides97.py, sheets97.py   DOC, PPT, XLS
open_document.py, rich_text.py, book.py, notebook.py   ODT and its like, RTF, EPUB, Jupyter
web.py        HTML, and the HTML that other readers made; page_frame.py tells menus and banners
drawing.py    SVG
mail.py, outlook.py, archive.py       EML, MSG, ZIP: words and the files in it
lettering.py  text that is not UTF-8
"""
