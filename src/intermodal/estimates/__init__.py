"""Tokens and money of one call of a named model, before it is made and without a plan.

Belongs here: counting and billing by the model's own rules and prices. Does not belong here: plans of a month
(``workloads/``), or whether a model fits a machine (``model_fit/``).

- ``model_lookup``: the model that a name stands for, and its prices
- ``part_notation``: parts in words, such as ``1024x1024:high``
- ``estimate``: counts and bills real files and such parts
"""
