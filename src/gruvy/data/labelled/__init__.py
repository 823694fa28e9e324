"""Series with a label or a number each: read from the files people have, encoded for a model."""
