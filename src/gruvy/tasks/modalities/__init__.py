"""Kinds of input, a module each: how it is prepared, what reads it, what it is compared with, how it is asked."""
