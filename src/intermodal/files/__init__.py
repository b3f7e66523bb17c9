"""Files on this machine, below any code that knows their contents.

file_bytes.py  a large file that is read where it lies, in place of ``bytes``
file_lock.py   an exclusive lock for a file, and replacing a file in one step
toml_line.py   the line of a TOML file on which a key begins, for errors
"""
