"""Decide whether a language model is enough or a broader foundation model is needed, with the costs.

The planner answers, over hypothetical requests. Nothing here chooses a route: a question becomes facts and a catalog,
``planner.plan`` is called several times, and its plans are compared.

- the question: ``options`` parses the stated options; ``question`` holds them with the assumptions, and turns them into
  a request and the facts that probing would find
- the world: ``advise`` gathers machine, day, snapshot and measurements; ``candidate_catalog`` holds what could be had
- the answer: ``decision`` plans each use of a model (``model_uses``) at each place, ``break_even`` compares hosted
  bills with hardware, ``advice`` is what comes of it
"""
