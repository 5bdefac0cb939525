"""A prompt and a model in, a stream of text out.

settings.py says what is wanted, engine.py runs the model with its cache and puts the others together: matvec.py, the decoder for
one token at a time; sampler.py, which picks the next token; stream.py, which turns bytes of tokens into text that may be shown.
"""
