"""What a release is made with: `python -m release`. It refuses, builds, tries and sums; it never uploads."""
