"""Converts files that contain text, images and other files to Markdown, inside the sandboxed worker.

Each module is one format, ``convert(data, name, probe) -> ConvertedFile``, or shared code. A table in
``media/worker.py`` maps each media type to its converter and the packages that it needs. PDF is in ``media/pdf/``.

docx.py, pptx.py, xlsx.py     Word, PowerPoint and Excel; office_package.py reads their ZIP container
doc.py, ppt.py, xls.py        Word, PowerPoint and Excel of 1997 to 2003; compound_file.py reads their container
odf.py, rtf.py, epub.py       OpenDocument, RTF, EPUB
html_pages.py, mhtml.py       HTML, and HTML that other converters produced, without menus and banners; saved pages
eml.py, msg.py, zip_archive.py   mails and archives: their text and the files in them
notebook.py, svg.py, subtitle_files.py   Jupyter, SVG, SubRip and WebVTT
text_encoding.py              text that is not UTF-8
conversion_types.py           ``ConvertedFile``, media types and limits
image_collector.py, sheet_table.py, style_sheets.py, word_html.py   shared by several formats
"""
