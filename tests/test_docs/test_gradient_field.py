"""The test that the guide shows, run with the suite."""

import sys

import pytest

from tests.test_docs.markdown import ROOT

EXAMPLES = str(ROOT / 'docs/guide/examples')
if not (ROOT / 'docs/guide').is_dir():  # a source distribution
    pytest.skip('the guide is not here', allow_module_level=True)
pytest.register_assert_rewrite('test_gradient_field')
sys.path.insert(0, EXAMPLES)
try:
    from test_gradient_field import *  # noqa: F403
finally:
    sys.path.remove(EXAMPLES)
