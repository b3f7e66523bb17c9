"""Measurements over many plans: ``intermodal eval``, ``bench`` and ``probe``.

Belongs here: running, grading, and conclusions about routes and endpoints. Does not belong here: how a report looks
(``charts/``), or anything that one request needs.

- evaluation: ``dataset``, ``runner``, ``trial_journal``, ``graders``, ``aggregation``, ``tiers``
- other measurements: ``bench``, ``probe``
"""
