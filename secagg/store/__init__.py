"""Where a host keeps sessions so that they outlive its process: the seam, and the stores that stand behind it."""
