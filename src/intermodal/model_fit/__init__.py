"""Models on hardware: whether one fits, its speed, the strongest that fits, and the contents of a pull.

Belongs here: answers about real files and machines. Does not belong here: the formulas (``sizing/``), or running a
model (``local/embedded/``, ``local/servers/``).

- fit: ``fit``, ``diffusion_fit``, ``fit_check``; shown by ``fit_output``
- choice: ``ranking``, ``recommendation``
- pulls: ``hub_pull``
"""
