"""What a step takes, in tokens, money, seconds and memory. Pure functions of sizes and rates.

tokens.py images.py   tokens of text, speech, pages, pictures
rates.py              an endpoint's price and speed, resolved once
price.py speed.py     money and seconds of one step
memory.py             whether what is resident together fits (when steps run: plans/cores.py)
levels.py             low, mid and high as plain floats
"""
