"""The text of a plan: headline, summary, warnings, notes, remedies, the verdict, and why an endpoint was not chosen.
Its layout as EXPLAIN is in ``intermodal.plans``.

plan_text.py        headline, policy line, warnings
notes.py            remarks about the chosen route
verdict_builder.py  whether a language model is enough, and the best route over text alone
remedies.py         what to do about a rejection
why_not.py          why one endpoint was not chosen
"""
