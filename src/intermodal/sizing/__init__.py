"""A model's demands on a machine: its shape, read from headers, and memory and speed computed from it by formulas.

What belongs here: ``shape.py`` (the value that all formulas take) and ``serving_settings.py`` (how a model is served);
readers that make a shape (``gguf_shape.py``, ``config_shape.py``); pure formulas (``kv_cache.py``,
``compute_buffers.py``, ``memory.py``, ``speed.py``) and what follows from them (``placement.py``, ``fit_changes.py``);
and where headers come from. A formula opens no file.
"""
