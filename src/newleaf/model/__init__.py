"""Token ids in, logits out: one decoder whose families are points on a set of axes.

Shapes, everywhere in this package:

    B batch rows    T queries (new tokens)    S keys (all tokens so far)    H heads    K key-value heads
    D head size     W width                   V vocabulary                  M width inside the feed-forward part

`config.py` and `size.py` are plain numbers and import no torch: a plan is made without it.
"""
