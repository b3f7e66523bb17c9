"""What a question needs of the media that come with it: told before planning, as facts.

regression.py by the weighted votes of example questions, a pure function of vectors
examples.py   those examples (examples.toml, examples_of_trades.toml), their vectors and weights (examples.bin, by
              scripts/question_vectors.py)
child.py      the process that computes vectors    reader.py   its parent's side, with what it told lately
words.py      by English words of the question, where no sentence model can tell
answer_kinds.py   what is asked to be made (a summary, a list, a fact), by words of ten languages
"""
