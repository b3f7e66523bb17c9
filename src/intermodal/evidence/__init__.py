"""Where the values of a JSON answer are found in the texts that a model read. Pure.

Values match as a reader would match them: text without case, numbers by value however they are grouped, dates in any
order, currencies by sign or code. A value that is found nowhere may still be right (a sum), so it is reported and not
refused. Booleans and words of an enumeration need not be in a text.

field_evidence.py   evidence for each field of an answer
searchable_text.py  a text, tokenised once so that many values can be looked up
"""

from intermodal.evidence.field_evidence import EvidenceSource, EvidenceSources, evidence_of

__all__ = ["EvidenceSource", "EvidenceSources", "evidence_of"]
