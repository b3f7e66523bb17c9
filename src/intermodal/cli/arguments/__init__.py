"""Arguments that verbs share: options, standard input, and the files that a verb reads or writes.

- ``request_options``, ``output_options``, ``key_options``: options and the values that they stand for
- ``prompt_file``, ``saved_files``, ``stdin``: input
- ``output_files``: checks of every file that a verb is going to write, before anything runs
"""
