"""Gather everything that the planner reads about a request, once, before it is planned.

prepare.py       the phases in order, on one screen: read it first
open_media.py    opens the media of a request; what its question needs of them is estimated meanwhile
token_counts.py  exact token counts, by vocabularies on this machine and by servers that count
approval.py      whether a saved plan may still be run

Planning is not here (``planner/``), nor how a file is opened (``media/``) or an endpoint found (``local/``).
"""
