"""What petkit brings along: a small masked language model, and real text that every installation holds."""
