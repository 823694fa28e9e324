"""The fused CPU engine: a cell's equations as a compiled kernel."""
