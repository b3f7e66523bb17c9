"""Pictures found by words or by a picture: ``intermodal find``.

folders.py   the pictures of folders        find.py   an index of them, and what is nearest to a query
"""
