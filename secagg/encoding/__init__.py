"""Real vectors to ring vectors and back: layout, quantization, packing (Specification §4)."""
