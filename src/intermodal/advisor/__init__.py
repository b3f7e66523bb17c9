"""Decide whether a language model is enough or a broader foundation model is needed, with the costs.

The planner does the work, on hypothetical requests: a question becomes facts and a catalog, ``planner.plan`` is called
for several variants, and the plans are compared. This package has no routing logic of its own.

- input: ``advise`` parses the options, and gathers machine, date, snapshot and measurements; ``question`` holds the
  options with the assumptions, and turns them into a request and the facts that probing would find
- data: ``candidate_catalog`` holds the models available
- result: ``decision`` plans each use of a model (``model_uses``) hosted and locally, ``break_even`` compares hosted
  bills with hardware, ``advice`` is the result
"""
