"""What all tests share."""

import os

# The embedded Django of the tests keeps its secret here, not in a file of the working directory.
os.environ.setdefault("BOLT_SECRET_KEY", "tests-only-" + "x" * 40)

from pybolt import bootstrap

# One embedded Django for all tests of a process, so that their order does not matter.
bootstrap.setup(None, None)
