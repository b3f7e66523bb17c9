"""What requests may hold: fields, bounds, labels, refusals and their words."""
