"""Sound, decoded inside the worker, and sound that a model made, encoded.

decoder.py             probes sound, and decodes it to PCM
channel_separation.py  whether two channels carry different voices
truncation.py          whether a file ends earlier than its header says
encoding.py            PCM, WAV and MP3 of sound that was made here or by a host
"""
