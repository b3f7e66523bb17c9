"""PDF inside the sandboxed worker: pages probed, rendered, and read in order as Markdown.

document.py       opens a file with pdfium (the only module that does); whether its text layer is what a reader sees
layout.py         LiteParse: blocks of a page, where the extra is installed; layout_types.py lines and blocks
markdown.py       blocks, lines and tables to Markdown                                             pure
page_figures.py   pictures and drawings on a page, and which may hold text
annotations.py    links, form values, remarks, attached files
"""
