"""Bytes, whatever the protocol: splitting streams into events, and JSON bodies that contain media.

``event_streams.py`` splits streams; ``json_body.py`` writes bodies in segments, reads unfinished objects and splits
objects into raw fields; ``inline_media.py`` extracts media and decodes base64 in place; ``surrogates.py`` joins
characters that were split in half; ``image_facts.py`` reads the sizes of images that are passed through.
"""
