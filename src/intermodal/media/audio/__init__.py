"""Sound, decoded inside the worker, and sound that a model made, encoded.

decoder.py             probes sound, decodes it to PCM, and detects files that end earlier than their header says
channel_separation.py  whether two channels carry different voices
encoding.py            PCM, WAV and MP3 of sound that was made here or by a host
"""
