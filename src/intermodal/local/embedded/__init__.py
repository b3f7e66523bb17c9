"""Embedded runtimes: models in child processes of this client.

    runtimes, results         starts one child per endpoint and calls it; what the calls return
    availability, versions    which runtimes are installed, and in which versions
    whisper, ocr, llama, e5, contrastive, encoder, diffusion
                              one child each: ``python -m intermodal.local.embedded.X``
    piper, tesseract          programs of others that are run, never imported
    child_support, onnx_session, voice_activity
                              what children share
    ocr_layout, ocr_scripts   text of recognised lines, and the scripts that can be read

Children see neither the user's files nor URLs: they receive bytes.
"""
