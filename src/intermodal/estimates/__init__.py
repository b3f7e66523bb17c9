"""Tokens and money of a call before it is made, by a named model's own rules and prices: no plan, and nobody is asked.

``subject.py`` finds what a name stands for, ``pieces.py`` makes pieces of files, ``estimate.py`` counts and bills them,
``gathered.py`` does all three for a question with files.
"""
