"""A prompt and a model in, a stream of text out: settings, sampler, stream, engine.

settings.py says what is wanted, sampler.py picks the next token, stream.py turns the bytes of tokens into whole characters
and finds stop strings, engine.py runs the model with its cache and puts the three together.
"""
