"""PDF inside the sandboxed worker: pages probed, rendered, and read in order as Markdown.

document.py       opens a file with pdfium (the only module that does)
layout.py         LiteParse: blocks of a page, where the extra is installed; layout_types.py lines and blocks
tables.py         tables that the layout took for columns, heads over several columns   pure
markdown.py       blocks and lines to Markdown                                                     pure
page_figures.py   pictures and drawings on a page, and which may hold text
text_layer.py     whether the text layer is what a reader sees
annotations.py    links, form values, remarks, attached files
"""
