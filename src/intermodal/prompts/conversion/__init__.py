"""Prompt files of one format as files of another.

tree.py               the small tree that every template is read into and written from; what is lost on the way
handlebars_reader.py  dotprompt's templates as a tree; handlebars_writer.py the way back
jinja_reader.py       those of Prompty and GitHub; jinja_writer.py the way back
poml_reader.py        POML as a tree, by its layout; poml_writer.py the way back
baml_reader.py        a function of BAML as a tree; baml_writer.py the way back
shapes.py             what a template makes of its arguments
fields.py             what files say beside their template, as YAML
plain_schema.py       JSON Schema without what BAML writes in another way
picoschema_writer.py  JSON Schema as dotprompt writes it
check.py              whether two files say the same, by rendering both
convert.py            the whole of it: read, write, read again, compare
"""
