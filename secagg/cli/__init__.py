"""The `secagg` command: thin layers over the public API, which hold no protocol of their own."""
