"""Where the values of a JSON answer stand in what was read.

A value is looked for as a reader would: letters without their case, numbers by what they are worth however they are
grouped, dates in whatever order they are written, currencies by sign or code. What stands nowhere is not wrong (a sum
may be right), and it is not evident either: that is said. Words of a list of choices, true and false need not stand in
a text to be right, so they are found, or not looked for. Pure.
"""

from intermodal.evidence.fields import Source, Sources, evidence_of

__all__ = ["Source", "Sources", "evidence_of"]
