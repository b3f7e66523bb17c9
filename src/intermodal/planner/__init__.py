"""Choosing a route, the way a database plans a query. Pure: everything it reads is an argument.

choose.py      ``plan``: the order of it all
why.py         ``why_not``: the same questions about one endpoint
case.py        the request, digested: bundles, labels, needs
index.py       the catalog, digested: classes of endpoints
rules.py       what keeps an endpoint out: one ordered tuple of functions
survivors.py   who passes the rules, per shape of request
converters.py  ears and readers worth considering
ways.py        how parts can reach an endpoint
combine.py     which ways to put together
search.py      routes, priced class by class
selection.py   fewer pages, openly        pages.py   which pages matter
floors.py      the strength floor          pin.py     staying in a conversation
routes.py      a route's numbers           score.py   what better means
build.py       steps and estimates         sends.py   what leaves the machine
words.py       what a plan says about itself          notes.py  what needs saying
refusals.py    who was refused for what                 remedies.py  what to do about it
takes.py       parts that go in as they are
names.py       the grammar of model names  aspects.py what is needed, kept and lost
"""

from intermodal.planner.choose import plan
from intermodal.planner.why import why_not

__all__ = ["plan", "why_not"]
