"""The cell language: a cell is one Python function, called with arrays or with symbols. Knows no torch."""
