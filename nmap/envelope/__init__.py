"""Where the molecule is: the envelope that a file stores, and how it is found in a map."""
