"""The only package that opens, recognises, probes and decodes media.

fetch.py             opens a user's path or URL (the only module that does)
url_policy.py        decides which URLs may be fetched and which addresses dialled     pure
pinned_connection.py dials an address that was checked
sniff.py             detects kind and media type of a file; finds the plugin for other formats
creation_date.py     reads date and device of creation from metadata                   pure
header_readers.py    reads size, frames and tracks from headers                        pure, bounded
expand.py            replaces documents, mails and archives by their contents
request_media.py     opens every part of a request: facts and bytes
worker_client.py     ``MediaWorker``, the parent process's interface to the workers
worker.py            the sandboxed child process that decodes; sandbox.py confines it
plugin_converter.py  runs the converter of a plugin in the worker
worker_results.py    values that are sent between the two processes
container.py         opens a file with FFmpeg (the only module that does)
media_limits.py      defaults and limits, which the planner reads too
image/, audio/, video/, pdf/, office/   decoders and converters, all of which run in the worker
text/                text from media and prompts                                       pure

Models that process media are in ``local/embedded/``, and their token count is in ``cost_model/``.
"""
