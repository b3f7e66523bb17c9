"""Memory and speed of a model on a machine, computed from the model's shape as its file headers give it.

``shape.py`` has the values that every formula takes: the model's shape and the serving settings. ``gguf_shape.py`` and
``config_shape.py`` read a shape from headers, and ``model_sources.py`` finds the headers. ``machines.py`` describes the
hardware. The formulas are in ``kv_cache.py``, ``compute_buffers.py``, ``memory.py`` and ``speed.py``; ``placement.py``
and ``fit_changes.py`` build on them. Formulas do no I/O.
"""
