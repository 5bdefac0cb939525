"""One number and its parts."""

IGNORED = -100  # a target that nothing is learned from, as torch's losses spell it
