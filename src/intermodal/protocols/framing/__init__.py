"""Bytes, whatever the protocol: streams cut into events, and JSON bodies with media inside written and read.

``event_streams.py`` splits streams; ``json_body.py`` writes bodies in segments, reads unfinished objects and splits
objects into raw fields; ``inline_media.py`` cuts out media and reads base64 in place; ``surrogates.py`` joins
characters that were cut in half; ``image_facts.py`` reads the sizes of pictures that are passed through.
"""
