"""How each family of models turns a picture into tokens: one file a family, one function a rule, with its source.

``costing/images.py`` is the door: it reads a rule string (``vision/said.py``) and calls the family's function.
"""
