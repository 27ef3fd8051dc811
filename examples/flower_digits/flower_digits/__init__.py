"""A digits classifier, trained with Flower under secure aggregation."""
