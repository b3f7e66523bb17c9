"""Measurements over many plans: ``intermodal eval``, ``bench`` and ``probe``.

This package runs, grades, and draws conclusions about routes and endpoints. How a report looks is in ``charts/``;
nothing that a single request needs is in here.

- evaluation: ``dataset``, ``runner``, ``trial_journal``, ``graders``, ``aggregation``, ``tiers``
- other measurements: ``bench``, ``probe``
"""
