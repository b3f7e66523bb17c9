"""Bytes, whatever the protocol: streams cut into events, and JSON bodies with media inside written and read.

``sse.py`` and ``ndjson.py`` split streams; ``json_body.py`` writes bodies in segments; ``inline_media.py`` reads base64
in place; ``surrogates.py`` joins characters that were cut in half; ``truncated_json.py`` reads an unfinished object.

For bodies that are passed through, ``media_extraction.py`` cuts large media out, ``image_facts.py`` reads their sizes,
and ``raw_json.py`` splits an object into raw fields.
"""
