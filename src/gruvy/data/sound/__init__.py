"""Recordings: files and folders of sound, and what a model reads of them."""
