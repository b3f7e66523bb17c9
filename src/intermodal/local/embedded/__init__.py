"""Embedded runtimes: models in child processes of this client.

    runtimes, results         start one child per endpoint and call it; the results of calls
    availability, versions    which runtimes are installed, and in which versions
    whisper, ocr, llama, e5, contrastive, encoder, diffusion
                              one child each: ``python -m intermodal.local.embedded.X``
    piper, tesseract          external programs that are run, never imported
    child_support, onnx_session, voice_activity
                              code shared by the children
    ocr_layout                text of recognised lines

Children have no access to the user's files or URLs: they receive bytes.
"""
