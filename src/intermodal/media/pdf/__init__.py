"""Reads PDF inside the sandboxed worker: pages are probed, rendered, and converted in reading order to Markdown.

document.py       opens a file with pdfium (the only module that does); checks whether its text layer can be trusted
layout.py         LiteParse: blocks of a page, if the extra is installed
markdown.py       lines and blocks of a page as values, and their conversion to Markdown; pure
page_figures.py   images and drawings on a page, and which may contain text
annotations.py    links, form values, remarks, attached files
"""
