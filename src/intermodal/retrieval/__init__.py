"""Pictures found by words or by a picture: ``intermodal find``; passages ranked for a question: ``intermodal rerank``.

folders.py   the pictures of folders        find.py   an index of them, and what is nearest to a query
passages.py  the passages of files          rank.py   passages in the order in which they answer a query
pages.py     pages of a document that does not fit whole, ranked before it is planned
"""
