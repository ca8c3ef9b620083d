"""Write into validate-schema.json what follows from the table of measures; the rest of it is kept by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from nmap.compare.findings import Code
from nmap.compare.measures import MEASURES, Measure

PAGE = Path(__file__).parent / "validate-schema.json"


def current(schema: dict[str, Any]) -> str:
    """The schema with its measures, checks and remarks as the code has them."""
    names = [measure.name for measure in MEASURES]
    properties = schema["properties"]
    properties["measures"] = {
        "type": "object",
        "description": "every measure by its name; null where it was not measured",
        "required": names,
        "additionalProperties": False,
        "properties": {
            measure.name: {"$ref": "#/$defs/number", "description": _description(measure)}
            for measure in MEASURES
        },
    }
    properties["checks"]["items"]["properties"]["name"] = {"enum": names}
    properties["remarks"]["items"]["properties"]["code"] = {"enum": sorted(get_args(Code))}
    return json.dumps(schema, indent=2) + "\n"


def _description(measure: Measure) -> str:
    places = {"reach": "to the resolution", "where": "where `judged` says", "limit": "the band limit"}
    words = measure.words.replace("band limit of {limit}", "band limit").format(**places)
    return f"{words} ({measure.unit})" if measure.unit else words


if __name__ == "__main__":
    PAGE.write_text(current(json.loads(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
    print(f"{PAGE.name}: written")
