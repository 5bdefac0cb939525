"""Token ids in, logits out: one decoder, whose families are points on a set of axes.

Shapes, all through this package:

    B batch rows    T queries (new tokens)    S keys (all tokens so far)    H heads    K key-value heads    G = H / K
    D head size     W width                   M feed-forward width          V vocabulary

`config.py` and `size.py` are plain numbers without torch: a plan is made with nothing else.
"""
