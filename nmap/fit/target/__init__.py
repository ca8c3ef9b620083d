"""What a fit aims at: band limit, envelope, half maps, symmetry."""
