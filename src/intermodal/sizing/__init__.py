"""A model's demands on a machine: its shape, read from headers, and memory and speed computed from it by formulas.

What belongs here: ``shape.py`` (the values that all formulas take: a shape, and how the model is served); readers that
make a shape (``gguf_shape.py``, ``config_shape.py``) and where headers come from (``model_sources.py``); the hardware
(``machines.py``); pure formulas (``kv_cache.py``, ``compute_buffers.py``, ``memory.py``, ``speed.py``) and what follows
from them (``placement.py``, ``fit_changes.py``). A formula opens no file.
"""
