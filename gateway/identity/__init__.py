"""Who is calling: keys of the gateway's own, and bearer tokens of an identity provider.

It must not know which store holds the keys, nor how an answer to the client looks.
"""

from __future__ import annotations

from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.tokens import TokenVerifier

__all__ = ["Identity", "KeyDirectory", "TokenVerifier"]
