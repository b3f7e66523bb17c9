"""Models on hardware: whether one fits, how fast it runs, which is the strongest, and what a pull would bring.

Belongs here: answers about real files and machines. Does not belong here: the formulas (``sizing/``), or running a
model (``local/embedded/``, ``local/servers/``).

- fit: ``fit_query``, ``fit``, ``vllm_fit``, ``diffusion_fit``, ``fit_check``; shown by ``fit_output`` and ``text_bars``
- choice: ``ranking``, ``recommendation``
- pulls: ``hub_pull``
"""
