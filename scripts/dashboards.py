#!/usr/bin/python3
"""Makes both dashboards of dashboards/panels.yml: Grafana's and Cloud Monitoring's, with the same queries.

  scripts/dashboards.py           writes them
  scripts/dashboards.py --check   exit code 1 if one of them is not what would be written
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
SOURCE = TOP / "dashboards" / "panels.yml"
GRAFANA = TOP / "dashboards" / "grafana" / "payflow.json"
CLOUD = TOP / "dashboards" / "cloud-monitoring" / "payflow.json"
COLUMNS, HEIGHT = 3, 8  # panels a row; a panel's height in both grids' units


def one_line(expr: str) -> str:
    return " ".join(expr.split())


def grafana_panel(panel: dict[str, Any], number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel["title"],
        "gridPos": {"x": x * 24 // COLUMNS, "y": y, "w": 24 // COLUMNS, "h": HEIGHT},
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {"defaults": {"unit": panel["unit"], "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": chr(ord("A") + i), "expr": one_line(query["expr"]), "legendFormat": query["legend"]}
                    for i, query in enumerate(panel["queries"])],
    }


def grafana(source: dict[str, Any]) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    y = 0
    for section in source["sections"]:
        local = [panel for panel in section["panels"] if not panel.get("google")]
        if not local:
            continue
        panels.append({"id": len(panels) + 1, "type": "row", "title": section["title"], "collapsed": False,
                       "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for i, panel in enumerate(local):
            panels.append(grafana_panel(panel, len(panels) + 1, i % COLUMNS, y + i // COLUMNS * HEIGHT))
        y += (len(local) + COLUMNS - 1) // COLUMNS * HEIGHT
    return {
        "uid": "payflow", "title": source["title"], "tags": ["payflow"], "timezone": "utc", "schemaVersion": 39,
        "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "panels": panels,
    }


def cloud_widget(panel: dict[str, Any]) -> dict[str, Any]:
    sets = []
    for query in panel["queries"]:
        data: dict[str, Any] = {"timeSeriesQuery": {"prometheusQuery": one_line(query["expr"])}, "plotType": "LINE"}
        if "{{" not in query["legend"]:  # else the series' own labels are the legend
            data["legendTemplate"] = query["legend"]
        sets.append(data)
    return {"title": panel["title"], "xyChart": {"dataSets": sets}}


def cloud(source: dict[str, Any]) -> dict[str, Any]:
    tiles: list[dict[str, Any]] = []
    y = 0
    for section in source["sections"]:
        tiles.append({"xPos": 0, "yPos": y, "width": 48, "height": 4,
                      "widget": {"title": section["title"], "sectionHeader": {"dividerBelow": True}}})
        y += 4
        panels = section["panels"]
        for i, panel in enumerate(panels):
            tiles.append({"xPos": i % COLUMNS * 48 // COLUMNS, "yPos": y + i // COLUMNS * HEIGHT * 2,
                          "width": 48 // COLUMNS, "height": HEIGHT * 2, "widget": cloud_widget(panel)})
        y += (len(panels) + COLUMNS - 1) // COLUMNS * HEIGHT * 2
    for tile in tiles:  # the API leaves zeros out, and would report a difference for ever
        for axis in ("xPos", "yPos"):
            if tile[axis] == 0:
                del tile[axis]
    return {"displayName": source["title"], "mosaicLayout": {"columns": 48, "tiles": tiles}}


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    source = yaml.safe_load(SOURCE.read_text())
    stale = []
    for path, made in ((GRAFANA, grafana(source)), (CLOUD, cloud(source))):
        text = json.dumps(made, indent=2) + "\n"
        if "--check" in sys.argv[1:]:
            stale += [] if path.is_file() and path.read_text() == text else [path.relative_to(TOP)]
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    for path in stale:
        print(f"{path} is not what dashboards/panels.yml says; run scripts/dashboards.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
