"""Texts, examples and judges of applications.py."""
