"""Series over time: read onto regular grids, encoded, cut into windows."""
