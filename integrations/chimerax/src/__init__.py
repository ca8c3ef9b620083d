"""ChimeraX opens `.nmap` files as maps, and decodes what it shows of them."""

from chimerax.core.toolshed import BundleAPI


class _NmapBundle(BundleAPI):
    """What ChimeraX asks of the bundle."""

    api_version = 1

    @staticmethod
    def initialize(session, bundle_info):
        """Let sessions that hold `.nmap` maps by their paths open them again."""
        from chimerax.map import add_map_format
        from chimerax.nmap.map_format import NmapFormat
        from chimerax.nmap.map_grid import SAMPLINGS

        for sampling in SAMPLINGS:
            add_map_format(session, NmapFormat(sampling))

    @staticmethod
    def finish(session, bundle_info):
        """Take back what `initialize` gave."""
        from chimerax.map_data import file_formats
        from chimerax.nmap.map_format import NmapFormat

        file_formats[:] = [known for known in file_formats if not isinstance(known, NmapFormat)]

    @staticmethod
    def run_provider(session, name, mgr, **kw):
        """What opens `.nmap` files, for the one provider that needs code."""
        from chimerax.nmap.opener import NmapOpener

        return NmapOpener()


bundle_api = _NmapBundle()
