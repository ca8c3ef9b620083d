"""ChimeraX's core, as far as the bundle asks for it."""
