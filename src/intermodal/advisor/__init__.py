"""Is a language model enough, or is a broader foundation model needed, and what will it cost?

The planner answers, over requests that nobody has made yet. Nothing here chooses a route: a question becomes facts and
a catalog, ``planner.plan`` is asked several times, and its plans are put side by side.

question.py   what is asked, with the sizes and assumptions that were not stated
words.py      volumes, hardware and kinds as people write them
imagined.py   sizes as the facts that probing would have found
offers.py     the catalog of everything that could be had: hosted by the snapshot, here by what fits
options.py    a question from plain options
uses.py       how an answer can use a model: as an LLM, as one that sees, hears, does both
advise.py     the planner asked for each use and place, and what follows
gathered.py   the world as it is: machine, day, snapshot, what was measured
path.py       the questions that lead to the decision
break_even.py hosted bill against hardware of one's own
advice.py     what comes of it, as values
text.py       and as stable text
"""
