"""Which models a machine can run: whether one fits, its speed, the strongest that fits, and what a pull would fetch.

This package answers questions about real files and machines. The formulas are in ``sizing/``; models are run by
``local/embedded/`` and ``local/servers/``.

- fit: ``fit``, ``diffusion_fit``, ``fit_check``; shown by ``fit_output``
- choice: ``ranking``, ``recommendation``
- pulls: ``hub_pull``
"""
