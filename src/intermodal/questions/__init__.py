"""What a question needs of the media that come with it: told before planning, as facts.

words.py      by English words of the question, where nothing else can tell
"""
