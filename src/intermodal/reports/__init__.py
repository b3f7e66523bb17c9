"""Questions over many plans: what ``intermodal eval`` measures, and how it is shown.

items.py      labelled files, read strictly          grading.py   whether an answer is right
texts.py      words, numbers and JSON compared       intervals.py what counts can say, and what not
routes.py     what a route is, over many items       journal.py   every finished run, kept
evaluate.py   planning all items, running all routes tally.py     runs added up
report.py     all of it in one value
tiers.py      from right answers to a strength       scatter.py   the picture          page.py   the HTML report
"""
