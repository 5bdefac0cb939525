"""Whole jobs, assembled from all the layers below: the only place where training meets evaluation and generation."""
