"""Models with every type of field, and two databases of them: SQLite in a file, and PostgreSQL."""
