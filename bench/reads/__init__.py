"""A table that pybolt and django-bolt read, in PostgreSQL and in SQLite: an app for both projects."""
