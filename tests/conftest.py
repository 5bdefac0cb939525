"""Tests share the machine with each other: OpenMP threads that wait must sleep, not spin (see newleaf.runtime.sleep_while_waiting)."""

from newleaf.runtime import sleep_while_waiting

sleep_while_waiting()
