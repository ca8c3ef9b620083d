"""A `NeuralMap` in a notebook: a card of facts with three slices, and the viewer's page."""
