"""Each repair works where its fault is, and leaves a healthy host alone."""

import importlib
import inspect
import io
import pickle
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sesim_mmagic import compat
from sesim_mmagic.compat import importing
from sesim_mmagic.compat import mmagic_repairs as repairs

pytestmark = pytest.mark.quick

# ------------------------------------------------------------------ numpy


def test_bool8_comes_back_on_numpy_2_alone(applied):
    old, new = (SimpleNamespace(__version__=v, bool_=np.bool_) for v in ('1.26.4', '2.5.5'))
    for module in (old, new):
        repairs.repair_numpy_bool8(module)
    assert not hasattr(old, 'bool8') and new.bool8 is np.bool_ and applied == ['numpy_bool8']


# ------------------------------------------------------------------ mmcv


def mmcv_at(folder):
    spec = ModuleSpec('mmcv', loader=None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    return lambda name: spec


def test_placeholder_stands_for_the_operators_of_mmcv_lite(monkeypatch, tmp_path, applied):
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
    del sys.modules['mmcv._ext']
    monkeypatch.setattr(importlib.util, 'find_spec', mmcv_at(tmp_path))
    repairs.repair_mmcv_ext()
    assert applied == ['mmcv_ext']

    operators = importlib.import_module('mmcv._ext')
    assert operators.__file__ and operators.__spec__.loader is None
    operator = operators.upfirdn2d
    with pytest.raises(RuntimeError, match=r"'mmcv._ext.upfirdn2d' .*full package.* 'mmcv>=2"):
        operator(torch.zeros(1))
    with pytest.raises(AttributeError, match='__wrapped__'):
        operators.__wrapped__  # noqa: B018


def test_placeholder_gives_way_to_compiled_operators(monkeypatch, tmp_path, applied):
    (tmp_path / '_ext.py').touch()
    monkeypatch.setitem(sys.modules, 'mmcv._ext', None)
    del sys.modules['mmcv._ext']
    monkeypatch.setattr(importlib.util, 'find_spec', mmcv_at(tmp_path))
    repairs.repair_mmcv_ext()
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)  # no mmcv at all
    repairs.repair_mmcv_ext()
    assert applied == [] and 'mmcv._ext' not in sys.modules


def test_mmengine_still_sees_mmcv_lite():
    from mmengine.utils.dl_utils.misc import mmcv_full_available

    assert mmcv_full_available() is ('mmcv_ext' not in compat.applied)
    importlib.import_module('mmcv.ops')


# ------------------------------------------------------------------ checkpoints


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return file


def test_checkpoint_content_survives_weights_only():
    from mmengine.logging import HistoryBuffer

    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    arrays = {code: np.arange(3).astype(code) for code in '?bhilqBHILQefd'}
    scalars = [np.float64(0.5), np.float32(0.5), np.int64(7), np.bool_(True)]
    file = saved({'log': buffer, 'arrays': arrays, 'scalars': scalars})

    loaded = torch.load(file, weights_only=True)
    assert loaded['log'].mean() == 2.0 and loaded['log'].statistics('current') == 3.0
    assert loaded['scalars'] == scalars
    for code, array in arrays.items():
        assert loaded['arrays'][code].dtype == array.dtype
        np.testing.assert_array_equal(loaded['arrays'][code], array)


def test_checkpoints_of_either_numpy_load():
    content = saved({'score': np.float64(0.5)}).getvalue()
    ours = b'numpy._core' if b'numpy._core' in content else b'numpy.core'
    other = {b'numpy._core': b'numpy.core', b'numpy.core': b'numpy._core'}[ours]
    stream = pickle.dumps({'score': np.float64(0.5)}, protocol=2)
    assert ours in stream
    from torch._weights_only_unpickler import load

    assert load(io.BytesIO(stream.replace(ours, other))) == {'score': 0.5}


class Reaching:
    """Pickles as ``function(*arguments)``, the way a hostile checkpoint would."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_hostile_checkpoints_are_refused():
    from mmengine.logging import HistoryBuffer

    for hostile in (
        Reaching(getattr, HistoryBuffer, '__init__'),
        Reaching(getattr, HistoryBuffer, '_statistics_methods'),
        Reaching(getattr, np.ndarray, 'tofile'),
        Reaching(eval, '1 + 1'),
    ):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(saved({'meta': hostile}), weights_only=True)


# ------------------------------------------------------------------ weight initialisation


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.BatchNorm2d(64), nn.Flatten())
        for module in self.modules():
            module._params_init_info = {
                p: {'init_info': '', 'tmp_mean_value': p.data.mean()} for p in self.parameters()
            }


def test_networks_with_activations_are_initialised():
    from mmagic.models.editors.cyclegan import cyclegan_generator
    from mmagic.models.editors.pix2pix import pix2pix_generator
    from mmagic.models.utils import generation_init_weights

    assert cyclegan_generator.generation_init_weights is generation_init_weights
    assert pix2pix_generator.generation_init_weights is generation_init_weights
    net = Net()
    generation_init_weights(net, init_type='normal', init_gain=0.02)
    assert net[0].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert net[2].weight.mean().item() == pytest.approx(1.0, abs=0.02)
    info = net._params_init_info
    assert 'normal' in info[net[0].weight]['init_info']
    assert 'Norm initialization' in info[net[2].weight]['init_info']
    assert 'apply' not in vars(net)
    with pytest.raises(NotImplementedError, match='magic'):
        generation_init_weights(net, init_type='magic')


# ------------------------------------------------------------------ FID


def fid_module(sqrtm):
    from scipy import linalg

    fid = ModuleType('fid')
    fid.linalg = SimpleNamespace(sqrtm=sqrtm, inv=linalg.inv)
    return fid


def test_sqrtm_takes_disp_on_scipy_1_18(applied):
    from scipy import linalg

    def sqrtm(A):  # noqa: N803
        return linalg.sqrtm(A)

    fid = fid_module(sqrtm)
    repairs.repair_sqrtm_disp(fid)
    matrix = np.array([[4.0, 1.0], [1.0, 9.0]])
    root, _ = fid.linalg.sqrtm(matrix, disp=False)
    np.testing.assert_allclose(root @ root, matrix)
    np.testing.assert_allclose(fid.linalg.sqrtm(matrix), root)
    assert fid.linalg.inv is linalg.inv and applied == ['sqrtm_disp']


def test_sqrtm_with_disp_is_left_alone(applied):
    fid = fid_module(lambda A, disp=True: A)
    linalg = fid.linalg
    repairs.repair_sqrtm_disp(fid)
    assert fid.linalg is linalg and applied == []


def test_fid_of_mmagic_runs():
    from mmagic.evaluation.metrics.fid import FrechetInceptionDistance

    covariance = np.diag([1.0, 4.0])
    fid, mean, _ = FrechetInceptionDistance._calc_fid(
        np.zeros(2), covariance, np.array([3.0, 0.0]), covariance
    )
    assert fid == pytest.approx(9.0) and mean == pytest.approx(9.0)


# ------------------------------------------------------------------ when repairs happen


@pytest.fixture
def fragile(monkeypatch, tmp_path):
    """Name of an importable module whose ``state`` is ``broken``."""
    (tmp_path / 'fragile_host.py').write_text("state = 'broken'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importing.finder, 'repairs', {})
    yield 'fragile_host'
    sys.modules.pop('fragile_host', None)


def mend(module):
    module.state = f'mended, was {module.state}'


def test_a_module_is_repaired_at_each_import(fragile):
    importing.when_imported(fragile, mend)
    assert fragile not in sys.modules
    module = importlib.import_module(fragile)
    assert module.state == 'mended, was broken'
    assert inspect.getsource(module) == "state = 'broken'\n"
    assert importlib.reload(module).state == 'mended, was broken'


def test_an_imported_module_is_repaired_at_once_and_once(fragile):
    module = importlib.import_module(fragile)
    importing.when_imported(fragile, mend)
    importing.when_imported(fragile, mend)
    assert module.state == 'mended, was broken'


def test_a_missing_module_stays_missing(fragile):
    importing.when_imported('no_such_host', mend)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('no_such_host')


def test_apply_is_idempotent():
    finders, repairs = list(sys.meta_path), dict(importing.finder.repairs)
    compat.apply()
    assert sys.meta_path == finders and importing.finder.repairs == repairs


# ------------------------------------------------------------------ mediapipe


def test_placeholder_stands_for_the_old_solutions_of_mediapipe(applied):
    mediapipe = ModuleType('mediapipe')
    repairs.repair_mediapipe_solutions(mediapipe)
    assert applied == ['mediapipe_solutions']
    solutions = mediapipe.solutions
    assert list(solutions.face_mesh.FACEMESH_LIPS) == []
    solutions.drawing_styles.DrawingSpec(color=(1, 2, 3), thickness=2)
    with pytest.raises(RuntimeError, match=r"'mediapipe.solutions.face_mesh.FaceMesh' is missing"):
        solutions.face_mesh.FaceMesh(static_image_mode=True)


def test_a_mediapipe_with_solutions_is_left_alone(applied):
    mediapipe = ModuleType('mediapipe')
    mediapipe.solutions = own = object()
    repairs.repair_mediapipe_solutions(mediapipe)
    assert mediapipe.solutions is own and applied == []


# ------------------------------------------------------------------ warnings


def test_mmagic_is_imported_without_warnings_that_nobody_can_change(python):
    """A warning of anybody else is shown; MMagic's inferencers, which need more, come too."""
    code = (
        'import sesim_mmagic, mmagic.models, sys, warnings\n'
        'for name in ("UNet2DConditionModel", "torch.jit.script"):\n'
        '    warnings.warn(f"`{name}` is deprecated, says somebody", FutureWarning)\n'
        'print("inferencers", file=sys.stderr)\n'
        'from mmagic.apis import MMagicInferencer, init_model\n'
    )
    run = subprocess.run([python, '-c', code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    before, _, _ = run.stderr.partition('inferencers\n')
    assert [line for line in before.splitlines() if 'Warning: ' in line] == [
        f'<string>:3: FutureWarning: `{name}` is deprecated, says somebody'
        for name in ('UNet2DConditionModel', 'torch.jit.script')
    ]
