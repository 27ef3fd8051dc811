"""secagg inside frameworks for federated learning: each part needs its framework, and uses secagg's public names."""
