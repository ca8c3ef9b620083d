"""Findings in words and pictures: one HTML page, and the words that the command line says them in."""
