"""An attached Django project on PostgreSQL."""
