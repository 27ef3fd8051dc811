"""`secagg demo`: federated learning under secure aggregation, beside the same learning without it."""
