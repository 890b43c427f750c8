"""A project whose routes are declared reads."""
