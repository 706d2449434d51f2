"""Ready-made tasks, one file each; also the examples to copy for a task of your own."""
