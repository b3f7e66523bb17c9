"""Files on this machine, below any code that knows what they are for.

file_bytes.py        a large file that is read where it lies, in place of ``bytes``
atomic_file.py       small files: replaced atomically, and locked while they are changed
located_document.py  YAML, TOML or JSON as data with the line of each key, for errors
"""
