"""What a PDF says, in reading order. All of it runs inside the media worker.

``media/document.py`` opens the file and asks these:

layout.py       LiteParse: blocks of a page (headings, paragraphs, lists, tables), where the extra is installed
grid.py          tables that the layout took for columns                           pure
boxes.py         what both are made of: lines and blocks
markdown.py     blocks and lines -> Markdown                                      pure
figures.py       what else is on a page: pictures, drawings, and which may hold words
layer.py        whether the letters of a page are the words seen on it
annotations.py  links, form values, remarks, attached files
"""
