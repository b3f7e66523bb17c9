"""The hardware of this machine: components, free memory, and measurements.

``machine`` and ``gpus`` read the system; ``memory_bandwidth`` measures; ``model_measurements`` stores measurements of a
model file, and takes them with ``llama-bench``. Formulas that use these figures are in ``sizing``.
"""
