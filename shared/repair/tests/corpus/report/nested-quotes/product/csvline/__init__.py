"""Lines of fields."""
