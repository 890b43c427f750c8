"""pybolt inside Django: connections, and the app of a single file."""
