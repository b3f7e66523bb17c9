"""How the parts of a request reach an endpoint: unconverted, or through transforms, transcription and descriptions.

Each option has the aspects it keeps and loses, and the cost of its steps. This package does not decide which endpoint
answers, and runs nothing; the executor runs the steps.

conversion_option.py   the values: an option of a bundle, the conversion of one part, one step
conversion_options.py  all options of a bundle; video_options.py: those of videos and animations
conversion_steps.py    single steps, priced
converters.py          which transcribers, readers and describers are tried
fidelity.py            aspects: needed, kept, lost
page_relevance.py      how relevant a page is to the question; page_selection.py: which are kept if not all fit
script_support.py, conversion_outcomes.py  how well a converter reads a part
"""
