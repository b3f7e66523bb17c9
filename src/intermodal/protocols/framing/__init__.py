"""Bytes, whatever the protocol: streams cut into events, and JSON bodies with media inside written and read.

``sse.py`` and ``ndjson.py`` split streams; ``json_body.py`` writes bodies in segments, reads unfinished objects and
splits objects into raw fields; ``inline_media.py`` reads base64 in place; ``surrogates.py`` joins characters that were
cut in half.

For bodies that are passed through, ``media_extraction.py`` cuts large media out and ``image_facts.py`` reads their
sizes; ``splitter.py`` cuts streams that are.
"""
