"""Scores of a map and a model by cctbx, as JSON: run by an interpreter that has `cctbx-base`, `pandas` and no nmap.

    python bench/cctbx_scores.py MAP MODEL RESOLUTION OUT.json

Q by `cctbx.maptbx.qscore` as its program calls it (32 points, radii 0.1 to 2.0 A), and with radii from 0 and 128
points; CC_mask and CC by residue by `mmtbx.maps.map_model_cc`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

import numpy as np


def main() -> None:
    """Read the arguments, score, write."""
    calc_qscore = import_module("cctbx.maptbx.qscore").calc_qscore
    data_manager = import_module("iotbx.data_manager").DataManager
    map_model_manager = import_module("iotbx.map_model_manager").map_model_manager
    map_model_cc = import_module("mmtbx.maps.map_model_cc")
    map_path, model_path, resolution, out = sys.argv[1:]

    def loaded() -> Any:
        data = data_manager()
        pair = {"map_manager": data.get_real_map(map_path), "model": data.get_model(model_path)}
        return map_model_manager(**pair, ignore_symmetry_conflicts=True)

    found: dict[str, Any] = {}
    settings = {"program": (32, np.linspace(0.1, 2, 20)), "dense": (128, np.linspace(0, 2, 21))}
    for name, (points, radii) in settings.items():
        scored = calc_qscore(loaded(), n_probes=points, shells=list(radii))
        table = scored["qscore_dataframe"]
        columns = (table.chain_id, table.resseq, table.resname, table["name"])
        keys = [[str(part).strip() for part in row] for row in zip(*columns, strict=True)]
        found[name] = [[*key, float(q)] for key, q in zip(keys, table["Q-score"], strict=True)]
    both = loaded()
    wanted = map_model_cc.master_params().extract().map_model_cc
    wanted.resolution = float(resolution)
    manager = both.map_manager()
    scored = map_model_cc.map_model_cc(
        map_data=manager.map_data(),
        pdb_hierarchy=both.model().get_hierarchy(),
        crystal_symmetry=manager.crystal_symmetry(),
        params=wanted,
    )
    scored.run()
    results = scored.get_results()
    found["cc_mask"], found["atom_radius"] = results.cc_mask, results.atom_radius
    found["cc"] = [
        [r.chain_id.strip(), r.resseq.strip(), r.resname.strip(), r.cc] for r in results.cc_per_residue
    ]
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
