"""The suites, one module each: lists of benchmarks for a plan (secagg.bench.registry says which there are)."""
