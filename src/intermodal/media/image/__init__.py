"""Pictures and animations, decoded inside the worker; what their pixels show without a model.

decoder.py           opens a picture with Pillow, and encodes it anew   (the only module that does)
animation.py         frames of GIF, WebP and PNG; pages of TIFF
pixels.py            pixels of a picture that our own decoder encoded, for a model
barcodes.py          QR codes and bar codes
letter_counts.py     how much is written on a picture, without reading it
script_detection.py  in which script it is written, by the shapes of its strokes (script_detection.bin)
"""
