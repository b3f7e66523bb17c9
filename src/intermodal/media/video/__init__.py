"""Reads videos inside the worker: their facts, frames and subtitles.

header.py           checks the header, before FFmpeg reads the file
probe.py            length, size, key frames and cuts
frames.py           frames by scene, or at a rate per second
frame_image.py      one frame: turned upright, compared, encoded
scenes.py           detects scenes from differences of frames, and distributes frames   pure
subtitle_tracks.py  subtitle tracks, and their lines with times
"""
