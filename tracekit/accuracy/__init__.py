"""Proof: programs that know the answer, run under the captures, and what the tables say beside it.

Nothing is imported here: the measured interpreter loads this file on its way to the programs.
"""
