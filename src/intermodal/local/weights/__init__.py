"""Model weights on this machine: pinned downloads and bounded readers of file headers.

    registry (and *.toml), lockfile   the files of each model, with their checksums and sources
    store                             the folder of verified files, and pulls into it
    hub, wheels, debian_packages, transfer
                                      the sources of downloads, including the catalog snapshot; hub resumes them
    gguf, safetensors, onnx, diffusion_files
                                      header readers that do not trust the file

Nothing that is downloaded is imported or run.
"""
