"""Files on this machine, independent of their purpose.

file_bytes.py        a large file that is read in place instead of being loaded as ``bytes``
atomic_file.py       small files: replaced atomically, and locked while they are changed
located_document.py  YAML, TOML or JSON as data with the line of each key, for errors
"""
