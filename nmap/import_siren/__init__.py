"""SIREN weights trained by other programs, made into a NeuralMap: a weights file, its layers, the map."""
