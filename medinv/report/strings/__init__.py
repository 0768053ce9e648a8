"""Every word of the report, and how numbers are written in it.

Another language is another folder like this one. Sentences are made from what the result and the
card hold; none claims more than its arguments say. They are plain text: the renderer escapes them.
"""

from medinv.report.strings.audit import *  # noqa: F403
from medinv.report.strings.card import *  # noqa: F403
from medinv.report.strings.counterfactual import *  # noqa: F403
from medinv.report.strings.image import *  # noqa: F403
from medinv.report.strings.labels import *  # noqa: F403
from medinv.report.strings.numbers import *  # noqa: F403
from medinv.report.strings.proof import *  # noqa: F403
from medinv.report.strings.study import *  # noqa: F403
from medinv.report.strings.summary import *  # noqa: F403
