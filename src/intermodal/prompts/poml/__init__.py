"""Microsoft's POML as a format of prompt files: ``.poml`` is made a document that pomlight lays out.

reader.py       the format
markup.py       tags of a document, with their lines
expansion.py    puts values in: conditions, loops, includes, media, data
expressions.py  evaluates what stands in ``{{ }}``: names, items, operators, methods of a table, over plain data
folder.py       lists a folder beside the prompt
"""
