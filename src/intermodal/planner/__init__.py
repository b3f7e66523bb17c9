"""Choosing a route, the way a database plans a query. Pure: everything it reads is an argument.

choose.py        ``plan``: the order of it all      why.py       ``why_not``: the same about one endpoint
frontier.py      what can be had for what          alternatives.py  every route, to run side by side
case.py          the request, digested           bundles.py   parts that go one way    labels.py  privacy
index.py         the catalog, digested: classes of endpoints
rules.py         what keeps an endpoint out: one ordered tuple of functions
survivors.py     who passes the rules, per shape of request
converters.py    ears, readers and eyes worth considering
ways.py          how parts can reach an endpoint; documents.py and footage.py those of documents and videos
way.py           a way, its passages and pieces    pieces.py    one step each, priced
combine.py       which ways to put together        lanes.py     what endpoints alike share
bounds.py        what a class can score at best    line.py      classes, best bound first
search.py        routes, priced class by class     limits.py    limits as plain comparisons
selection.py     fewer pages, openly               pages.py     which pages matter
floors.py        the strength floor                pin.py       staying in a conversation
assignment.py    before the last call     demand.py    what it has to take     answering.py  what it answers
routes.py        a route's numbers                 score.py     what better means
build.py         candidates                        conversions.py  the steps before the last  step_ids.py  names
checks.py        what is looked at on the way, and the price of doing it better
sends.py         what leaves the machine           takes.py     parts that go in as they are
words.py         what a plan says about itself     notes.py     what needs saying
refusals.py      who was refused for what          remedies.py  what to do about it
names.py         the grammar of model names        aspects.py   what is needed, kept and lost
"""

from intermodal.planner.choose import choice, plan, plan_from
from intermodal.planner.frontier import frontier
from intermodal.planner.why import why_not

__all__ = ["choice", "frontier", "plan", "plan_from", "why_not"]
