"""How the parts of a request reach an endpoint: unconverted, or through transforms, transcription and descriptions.

Each option has the aspects it keeps and loses, and the cost of its steps. This package does not decide which endpoint
answers, and runs nothing; the executor runs the steps.

conversion_option.py      the values: an option of a bundle, the conversion of one part, one step conversion_options.py
all options of a bundle; video_options.py those of videos conversion_steps.py       single steps, priced
converters.py       which transcribers, readers, describers fidelity.py               aspects: needed, kept, lost
page_relevance.py, page_selection.py   pages that do not all fit script_support.py, earlier_readings.py   how well a
converter does with a part
"""
