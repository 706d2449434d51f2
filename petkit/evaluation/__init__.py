"""Few-shot studies: which cells there are, how each is carried out, and what follows from their scores."""
