"""What a network is fitted to: the whitened, band-limited map inside its envelope.

Everything that a trainer needs is in `Target`, whatever the kind of network. Its truth is the source times
the envelope within the band limit, on the lattice where a decoder evaluates the network. What a decoder
shows anywhere is the trigonometric polynomial through the lattice's values, so an error measured by shell
on the lattice is the error of the decoded density at every continuous position (Parseval): nothing is left
free between the samples.
"""

from __future__ import annotations

