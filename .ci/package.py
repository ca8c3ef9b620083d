"""`make package`: the wheel in an empty environment decodes, inspects and validates without torch."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
READER = (
    "from importlib.resources import files; files('nmap.integrations').joinpath('napari.yaml').read_text()"
)
EXAMPLE = ROOT / "spec" / "conformance" / "valid" / "radial-basis.nmap"
MOST_MEGABYTES = 300  # of site-packages: what someone who only decodes has to download


def main(wheel: Path) -> None:
    """Install a wheel in an empty environment, use it, and weigh it; any failure ends the program."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        pip = [folder / "env" / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", wheel], check=True)
        nmap = folder / "env" / "bin" / "nmap"
        for arguments in (
            ["--version"],
            ["inspect", EXAMPLE],
            ["decode", EXAMPLE, "-o", folder / "decoded.mrc"],
            ["validate", EXAMPLE, folder / "decoded.mrc", "--min-fsc", "0.999"],
        ):
            subprocess.run([nmap, *arguments], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([folder / "env" / "bin" / "python", "-c", READER], check=True)
        packages = next((folder / "env").glob("lib/python*/site-packages"))
        if (packages / "torch").exists():
            sys.exit("the wheel brings torch: wanted it in the extra 'fit' alone")
        size = sum(p.stat().st_size for p in packages.rglob("*") if p.is_file()) / 1e6
        print(f"{wheel.name}: decodes, inspects and validates in {size:.0f} MB of site-packages")
        if size > MOST_MEGABYTES:
            sys.exit(f"{size:.0f} MB of site-packages: wanted at most {MOST_MEGABYTES}")


if __name__ == "__main__":
    main(next(Path(sys.argv[1]).glob("*.whl")))
