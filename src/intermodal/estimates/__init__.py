"""Tokens and money before a call is made, and nobody is asked.

Of one call of a named model, by its own rules and prices, without a plan: ``subject.py`` finds what a name stands for,
``pieces.py`` makes pieces of files, ``estimate.py`` counts and bills them, ``gathered.py`` does all three for a
question with files.

Of a month of calls, planned as they would be: ``document.py`` reads a workload (``workload.py``; ``located.py`` knows
the line of each key, ``part_words.py`` the words for parts nobody has yet, ``part_facts.py`` their facts), ``month.py``
plans it, ``monthly.py`` bills the plans at the prices of ``discounts.py``; ``month_tables.py`` and ``month_picture.py``
show the bills.
"""
