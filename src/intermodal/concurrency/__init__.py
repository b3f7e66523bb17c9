"""Work that must not hold up the event loop, and the bridges between threads, processes and the loop.

worker_process.py   a child process with memory and CPU limits that can be killed at any time: both sides of the pipe
offload.py          runs a computation in a thread where its input is large, and frees large values in slices there
fair_lock.py        a lock whose turns go round among requesters
sync_bridge.py      runs coroutines for synchronous callers, on an event loop of its own
"""
