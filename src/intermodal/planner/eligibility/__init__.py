"""Which endpoints may serve a request: rules, privacy labels, usage terms, and the strength floor.

rules.py                the rules, in one ordered tuple        eligible_endpoints.py   endpoints that pass; rejections
privacy_labels.py       which parts may not leave              usage_terms.py          licence, region, retention
strength_floors.py      the floor, stated or by default
"""
