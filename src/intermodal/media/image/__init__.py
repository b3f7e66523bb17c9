"""Images and animations, decoded inside the worker, and what their pixels show without a model.

decoder.py           opens an image with Pillow and encodes it again   (the only module that does)
animation.py         frames of GIF, WebP and PNG; pages of TIFF
pixels.py            pixels of an image that our own decoder encoded, for a model
barcodes.py          QR codes and bar codes
letter_counts.py     counts the letters on an image without reading them
script_detection.py  detects the script of a text by the shapes of its strokes (script_detection.bin)
"""
