"""petkit: few-shot text classification by pattern-exploiting training."""
