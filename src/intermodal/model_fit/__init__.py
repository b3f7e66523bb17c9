"""Models on hardware: whether one fits, how fast it runs, which is the strongest, and what a pull would bring.

Belongs here: answers about real files and machines. Does not belong here: the formulas (``sizing/``), or running a
model (``local/embedded/``, ``local/servers/``).

- fit: ``fit``, ``model_lookup``, ``vllm_fit``, ``diffusion_fit``, ``fit_check``; shown by ``fit_text``,
  ``fit_document``, ``text_bars``
- choice: ``ranking``, ``recommendation``, ``weights_size``
- pulls: ``hub_pull``, ``onnx_pull``
"""
