"""The rules by which families of models turn a picture into tokens: one function a rule, with its source.

``image_tokens.py`` reads a rule string and calls the family's function.
"""
