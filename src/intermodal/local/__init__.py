"""Models on the user's own machines: embedded runtimes, started servers, discovered servers, weights.

    embedded    models in child processes of this client
    servers     model servers that are started, shared by every process of the user, and ended
    discovery   model servers that the user runs: found, identified and read
    weights     model files: pinned downloads and readers of their headers
    tokenizers  exact token counts from vocabularies on this machine
    hardware    processors, memory and graphics cards, and measurements of them

Nothing here plans. Hosts on the internet are not reached from here, other than to download weights.
"""
