"""Label words of the ready-made tasks, with their source; other languages too."""
