"""Ways to carry the messages of sessions between processes: each its own package, with its own extra."""
