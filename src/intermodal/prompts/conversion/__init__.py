"""Prompt files of one format to files of another.

convert.py              the whole: read, write, read again, compare
template_tree.py        the tree that every template is read into and written from; losses
handlebars_reader.py, handlebars_writer.py   dotprompt
jinja_reader.py, jinja_writer.py             Prompty and GitHub
poml_reader.py, poml_writer.py               POML, by its layout
baml_reader.py, baml_writer.py               functions of BAML
argument_shapes.py      what a template makes of its arguments
front_matter.py         settings, options and schemas beside the template, as YAML
normalized_schema.py    JSON Schema with one spelling for what formats write differently
equivalence.py          whether two files say the same, by rendering both
"""
