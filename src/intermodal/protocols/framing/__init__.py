"""Bytes, whatever the protocol: streams cut into events, and JSON bodies with media inside written and read.

``sse.py`` and ``ndjson.py`` split streams; ``json_body.py`` writes bodies in segments, reads unfinished objects and
splits objects into raw fields; ``inline_media.py`` cuts out media and reads base64 in place; ``surrogates.py`` joins
characters that were cut in half.

For what is passed through, ``image_facts.py`` reads the sizes of pictures, and ``splitter.py`` cuts streams.
"""
