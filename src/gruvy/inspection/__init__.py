"""What trained models look at."""
