"""Arguments that verbs share: options, standard input, and the files that a verb reads or writes.

- ``request_options``, ``output_options``: options, and the values that they stand for
- ``plugin_choice``: an option that also accepts values of plugins; ``report_options``: ``--svg`` and ``--html``
- ``files``: saved plans and written files, each checked before anything runs
"""
