"""The command line, with one module for each verb, named after it.

Belongs here: options, output and exit codes. Does not belong here: decisions, which the library makes.

- ``main``: the table of verbs, and the one place where errors become exit codes
- ``arguments/``: options that verbs share, and the values and files that they name
- ``rendering/``: the tables, progress, JSON documents and files that verbs write
"""
