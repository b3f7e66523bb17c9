"""Work that must not block the event loop, and bridges between threads, processes and the loop.

worker_process.py   a child process with memory and CPU limits that can be killed at any time: both ends of the pipe
offload.py          runs a computation in a thread if its input is large, and frees large values there in slices
fair_lock.py        a lock that takes turns among requesters
sync_bridge.py      runs coroutines for synchronous callers, on its own event loop
"""
