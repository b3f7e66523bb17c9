"""Files on this machine, below any code that knows what they are for.

file_bytes.py        a large file that is read where it lies, in place of ``bytes``
file_lock.py         an exclusive lock for a file, and replacing a file in one step
located_document.py  YAML, TOML or JSON as data with the line of each key, for errors
"""
