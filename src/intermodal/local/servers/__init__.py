"""Servers that intermodal starts: for ``intermodal up``, and for runs that need a server that is not running.

    lifecycle.py - takes the lock of a name -> supervisor.py, a small process of its own -> the server
       reads state.json <---------------------- writes state.json, restarts, unloads        on loopback, with a key

    lifecycle, supervisor, records      start, share, watch and end servers; their files and logs
    resolver, programs, llama_server    from the user's words to a command
    server_rows, client_runtimes        servers as hosts of the catalog, and as runtimes of a client
    server_status, footprint            reports of a running server, and the memory of its processes
    memory_estimate, memory_comparison  memory predicted, and compared with the actual one
    context_fit, context_reduction      smaller contexts for models that do not fit

The processes communicate through files in a user folder (``records.py``), so that all processes of the user share one
server, and none has to outlive the others.
"""
