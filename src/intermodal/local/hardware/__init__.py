"""The hardware of this machine: components, free memory, and measurements.

``machine`` and ``gpus`` read the system; ``memory_bandwidth`` and ``llama_bench`` measure; ``model_measurements`` and
``memory_corrections`` store measurements of a model file. Formulas that use these figures are in ``sizing``.
"""
