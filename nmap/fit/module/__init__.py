"""A file as a torch module, and back."""
