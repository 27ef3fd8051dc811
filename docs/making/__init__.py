"""What makes the documentation site beside mkdocs: pages of the repository, and pages that are written by code."""
