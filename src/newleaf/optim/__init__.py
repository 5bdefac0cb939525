"""Gradients in, new weights out: Muon for the matrices in the layers, AdamW for the rest, rates that warm up and decay."""
