"""The planner: chooses a route for a request, as a database plans a query.

Everything in this package is a pure function of its arguments: no file, clock, environment, chance or network.
Estimates of single calls come from ``intermodal.cost_model``, the values of a finished plan from ``intermodal.plans``.

planner.py             ``plan``: the order of it all; ties, and why a feasible route was not chosen
planning_case.py       the request as the planner reads it
catalog_index.py       the catalog by groups of endpoints that every rule treats alike
part_bundles.py        parts that share one conversion option
alternatives.py        every feasible route; frontier.py: those that no other route beats in every respect
speech_translation.py  the two kinds of translating routes
recognition.py         the words of files alone, beside routes on which a model answers
session_affinity.py    staying with the endpoint of the last turn
exploration.py         trying unmeasured endpoints

conversion/            how media reach an endpoint, what each option keeps, loses and takes
eligibility/           which endpoints may serve a request, and why others may not
route_estimates/       tokens, money, seconds and memory of a complete route
route_search/          branch and bound over endpoints and conversion options
candidates/            from a priced route to the steps of a plan
explanation/           the sentences of a plan, its verdict, and why an endpoint was not chosen
"""

from intermodal.planner.explanation.why_not import not_chosen_reasons
from intermodal.planner.frontier import frontier
from intermodal.planner.planner import plan, plan_from, plan_without_id

__all__ = ["frontier", "plan", "plan_from", "plan_without_id", "not_chosen_reasons"]
