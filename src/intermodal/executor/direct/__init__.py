"""Direct calls: the reply of a host is passed on to a client of the same API as it arrives.

sink                          what the caller's side implements: where the bytes of an answer go
upstream_response             replies: buffered, streamed
transcoding                   streams that are decoded and written again
protocol_adapters, *_stream   what differs between APIs; their codecs are in ``protocols/``
"""
