"""The hardware of this machine: what it has, what is free, and what was measured of it.

``machine`` and ``gpus`` read the system; ``memory_bandwidth`` and ``llama_bench`` measure; ``model_measurements`` and
``memory_corrections`` keep what was measured of a model file. Formulas that use these figures are in ``sizing``.
"""
