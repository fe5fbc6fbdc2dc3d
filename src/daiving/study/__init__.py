"""A study: arms, pairs of runs, looks, a verdict. The files of a lab are the truth; all here reads or makes them."""
