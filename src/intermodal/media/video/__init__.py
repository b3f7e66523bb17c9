"""Video, inside the worker: its facts, frames and subtitles.

header.py           what the header says, before FFmpeg reads the file
probe.py            length, size, key frames and cuts
frames.py           frames by scene, or so many a second
frame_image.py      one frame: shown upright, compared, encoded
scenes.py           which frames show another scene, and how frames are spread   pure
subtitle_tracks.py  tracks of subtitles, and their lines with times
"""
