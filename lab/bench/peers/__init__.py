"""What race.py needs to run newleaf beside other tools: texts, settings, one adaptor a tool, a clock, a scorer, lines and a table.

texts · settings · scoring          what is learned from, how, and how it is judged: the same for all
tool                                what an adaptor must answer
ours · nanogpt · nanochat · llama   the adaptors
clock                               a peer's number of iterations, so that its loop takes the budget
results · table                     a line a run, and what is printed from the lines
"""
