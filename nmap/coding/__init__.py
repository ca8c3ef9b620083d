"""Tensors to and from the bytes that a file stores."""
