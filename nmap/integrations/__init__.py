"""Where other programs meet a `.nmap` file: napari's reader and xarray's engine."""
