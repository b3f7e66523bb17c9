"""What a step takes, in tokens, money, seconds and memory. Pure functions of sizes and rates.

tokens.py images.py   tokens of text, speech, pages, pictures
rates.py              an endpoint's price and speed, resolved once
price.py speed.py     money and seconds of one step
memory.py schedule.py what is resident together, and when a route ends
levels.py             low, mid and high as plain floats
"""
