"""The server process itself: memory, file descriptors, its log, its watchdog and the pruning of its store.

allocator.py        malloc options and garbage collection for a process that runs for months
fd_limits.py        as many connections as there are file descriptors
request_log.py      one line a request on standard error
service_manager.py  systemd's watchdog
store_pruning.py    deletes old rows of the store beside the requests
"""
