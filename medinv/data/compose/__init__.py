"""Films composed in training, so that a label follows the region that it is about and not what
surrounds it.
"""

from medinv.data.compose.composer import Composer, Composites

__all__ = ["Composer", "Composites"]
