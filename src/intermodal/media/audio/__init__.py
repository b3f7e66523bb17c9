"""Decodes audio inside the worker, and encodes audio that a model produced.

decoder.py             probes audio, decodes it to PCM, and detects files that end before their header says
channel_separation.py  detects whether two channels carry different voices
encoding.py            encodes PCM, WAV and MP3
"""
