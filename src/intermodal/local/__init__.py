"""Models on the user's own machines: embedded runtimes, started servers, discovered servers, weights.

    embedded    models in child processes of this client
    servers     model servers that intermodal starts, shares between the user's processes, and stops
    discovery   model servers that the user runs: found, identified and queried
    weights     model files: pinned downloads and readers of their headers
    tokenizers  exact token counts from vocabularies on this machine
    hardware    processors, memory and GPUs, and measurements of them

Nothing here plans. Internet hosts are contacted only to download weights.
"""
