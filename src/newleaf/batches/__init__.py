"""Token ids in, training batches out: a pure function of (seed, retry, data generation, step, rank)."""
