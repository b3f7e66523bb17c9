"""How the parts of a request reach an endpoint: unconverted, or through transforms, speech recognition and
descriptions.

Each option has what it keeps, what it loses, and what its steps take. Which endpoint answers is not decided here, nor
is anything run: the executor does that.

conversion_option.py      the values: an option of a bundle, the conversion of one part, one step
conversion_options.py     all options of a bundle; video_options.py those of videos
conversion_steps.py       single steps, priced          converters.py       which transcribers, readers, describers
fidelity.py               aspects: needed, kept, lost   page_relevance.py, page_selection.py   pages that do not all fit
script_support.py, earlier_readings.py   how well a converter does with a part
"""
