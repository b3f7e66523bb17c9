"""Microsoft's POML as a format of prompt files: values are inserted into a ``.poml``, and pomlight lays it out.

reader.py       the format
expansion.py    tags of a document with their lines; conditions, loops, includes, folders, media and data
expressions.py  evaluates ``{{ }}``: names, items, operators and a table of methods, over plain data
"""
