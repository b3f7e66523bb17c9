"""The server process: memory, file descriptors, log, watchdog and the pruning of its store.

allocator.py        malloc options and garbage collection for a process that runs for months
fd_limits.py        limits connections to the available file descriptors
request_log.py      one line per request on standard error
service_manager.py  systemd's watchdog
store_pruning.py    deletes old rows of the store in the background
"""
