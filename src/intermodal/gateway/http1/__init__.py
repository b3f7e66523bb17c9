"""The HTTP/1.1 server: connections, request heads and bodies within limits, responses. It knows no route.

connection.py       one client connection: parses requests and chunks, enforces limits, runs the application's answer
http_types.py       the head of a request, and the limits on what clients may send
response_writer.py  one response, whole or streamed, with comments while a stream is silent; joins small writes
"""
