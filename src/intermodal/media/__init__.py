"""The only package that opens, recognises, probes and decodes media.

fetch.py             opens a user's path or URL (the only module that does)
url_policy.py        which URLs and addresses may be dialled                           pure
pinned_connection.py dials an address that was checked
sniff.py             kind and media type of bytes; which plugin converts what it does not know
creation_date.py     when and with what a file was made, as its metadata states     pure
header_readers.py    size, frames and tracks from headers                              pure, bounded
expand.py            replaces documents, mails and archives by what is in them
request_media.py     opens every part of a request: facts and bytes
worker_client.py     ``MediaWorker``, the parent's side of the worker processes
worker.py            the sandboxed child that decodes; sandbox.py confines it
plugin_converter.py  runs the converter of a plugin in the worker
worker_results.py    values that cross the pipe between the two
container.py         opens a file with FFmpeg (the only module that does)
media_limits.py      defaults and limits that the planner reads too
image/, audio/, video/, pdf/, office/   decoders and converters, all of which run in the worker
text/                text that media and prompts are made into                         pure

Models that process media are not here (``local/embedded/``), nor is their token count (``cost_model/``).
"""
