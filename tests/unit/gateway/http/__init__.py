"""HTTP on both sides: heads, bodies, origins, connections to hosts, and how answers are written."""
