"""How a release gets its traffic: see docs/delivery.md."""
