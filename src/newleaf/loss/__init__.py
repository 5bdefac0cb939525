"""One number and its parts."""
