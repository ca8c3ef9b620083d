"""The machine that we run on: files that appear whole or not at all, memory, threads."""
