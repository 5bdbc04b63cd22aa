"""The extensions of the map that experiments compare, by the names of their rows."""

EXTENSIONS = {
    "cell": {"mode": "cell"},
    "pair, 25 %": {"mode": "pair", "theta": 0.25},
    "simplex, 5 %": {"mode": "simplex", "theta": 0.05},
    "simplex, 25 %": {"mode": "simplex", "theta": 0.25},
    "simplex, 50 %": {"mode": "simplex", "theta": 0.5},
    "simplex, no filter": {"mode": "simplex", "theta": 1.0},
}
