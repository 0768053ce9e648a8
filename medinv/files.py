"""Names for outputs that do not say who the patient is."""

import hashlib


def pseudonym(identifier: str, kind: str) -> str:
    """`kind-` and 16 hexadecimal digits of the SHA-256 of an identifier: the same for the same study, and no way back without the study."""
    return f"{kind}-{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"
