"""SIREN weights trained by other programs, made into a NeuralMap."""
