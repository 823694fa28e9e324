"""Readers, splits, text and batches."""
