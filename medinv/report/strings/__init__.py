"""Every word of the report, and how numbers are written in it. Another language is another folder like this one.

Sentences are made from numbers that the content holds; none claims more than its arguments say. They are plain text: the renderer escapes them.
"""

from medinv.report.strings.image import *  # noqa: F403
from medinv.report.strings.labels import *  # noqa: F403
from medinv.report.strings.numbers import *  # noqa: F403
from medinv.report.strings.proof import *  # noqa: F403
from medinv.report.strings.study import *  # noqa: F403
