"""Every answer that any test here gets by Client.call is held against openapi.yaml."""
from __future__ import annotations

import contract
import servers

servers.observers.append(contract.check)
