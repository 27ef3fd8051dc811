"""`secagg privacy`: what differential privacy of a sum costs, what it promises, and whether the code keeps it."""
