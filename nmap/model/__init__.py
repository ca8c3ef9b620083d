"""What a network computes: the model kinds and how a file's parts compose into a density."""

from nmap.model.block_siren import BlockSiren
from nmap.model.field import Field
from nmap.model.fourier_features import FourierFeatures
from nmap.model.frame import Frame
from nmap.model.kinds import KINDS, build_network
from nmap.model.network import Network
from nmap.model.radial_basis import RadialBasis
from nmap.model.siren import Siren

__all__ = [
    "KINDS",
    "BlockSiren",
    "Field",
    "FourierFeatures",
    "Frame",
    "Network",
    "RadialBasis",
    "Siren",
    "build_network",
]
