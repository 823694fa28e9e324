"""Models: flat builder functions and the few modules they are made of."""
