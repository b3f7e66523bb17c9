"""The one door for media: fetched, recognised, probed and decoded here and nowhere else.

fetch.py     opens a user's path or URL                       (the only module that does)
address.py   which URLs and addresses may be dialled          pure
sniff.py     what the bytes are                               pure
boxes.py     header readers: pixels, frames, tracks           pure, bounded
opened.py    request -> facts and bytes
decode.py    the parent's side of the worker: ``MediaWorker``
worker.py    the fenced child; image.py, audio.py, document.py decode in it
steps.py     constants the planner may read
"""
