"""The one door for media: fetched, recognised, probed and decoded here and nowhere else.

fetch.py     opens a user's path or URL                       (the only module that does)
address.py   which URLs and addresses may be dialled          pure
sniff.py     what the bytes are                               pure
boxes.py     header readers: pixels, frames, tracks           pure, bounded
film_header.py  the same for films: size, wholeness, no media elsewhere           pure, bounded
opened.py    request -> facts and bytes
decode.py    the parent's side of the worker: ``MediaWorker``
worker.py    the fenced child; in it decode: image.py, animation.py, document.py, audio.py, video.py (what a film is),
             moments.py (its frames), still.py (one of them); container.py alone opens a file with FFmpeg
office/      what is taken apart into Markdown: documents, pages, mails (in the worker too)
pdf/         what a PDF says: layout, Markdown, what lies over its pages
scenes.py    which moments of something that moves are worth a picture            pure
steps.py     constants the planner may read
"""
