"""Two ranks evaluate an uneven number of pictures as one process does, and leave one record."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from mmengine.runner import Runner

from tests.test_engine import tiny

SCORES = dict(
    type='mmengine.Evaluator',
    metrics=[dict(type='sesim_mmagic.PairedScores', target_domain='b', source_domain='a')],
)

RANKS = """
import sys
from mmengine.dist import get_rank
from sesim_mmagic.apis.launch import leave_job
from sesim_mmagic.engine.hooks import results
from tests.test_engine import tiny

write = results.write_atomically

def telling(path, content):
    sys.stdout.write(f'rank {get_rank()} writes {path.name}.\\n')
    write(path, content)

results.write_atomically = telling
runner = tiny.train(sys.argv[1], sys.argv[2], launcher='pytorch')
runner.test()
leave_job()
"""


@pytest.fixture
def config(tmp_path):
    data = tiny.write_pictures(tmp_path / 'data', test=5)
    path = tiny.write_config(tmp_path / 'config.py', data)
    cfg = tiny.load_config(path, tmp_path)
    loader = cfg.test_dataloader
    loader.dataset.update(paired=True)
    options = dict(
        test_dataloader=loader,
        val_dataloader=loader,
        val_cfg=dict(type='ValLoop'),
        val_evaluator=SCORES,
        test_evaluator=SCORES,
        train_cfg__max_iters=4,
        train_cfg__val_interval=2,
        default_hooks__checkpoint__save_best='paired/ssim',
        default_hooks__results=dict(type='sesim_mmagic.ResultsHook'),
    )
    return tiny.write_config(path, data, **options)


def scores_of_one_process(config, folder, checkpoint):
    cfg = tiny.load_config(config, folder, load_from=str(checkpoint))
    return Runner.from_cfg(cfg).test()


def test_two_ranks_evaluate_as_one(config, tmp_path, python):
    (tmp_path / 'ranks.py').write_text(RANKS)
    work = tmp_path / 'work'
    launch = [python, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    run = subprocess.run(
        [*launch, str(tmp_path / 'ranks.py'), str(config), str(work)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(Path(__file__).parents[2])},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count('rank 0 writes results.json.') == 4  # twice validated, end, test
    assert 'rank 1 writes' not in run.stdout
    assert sorted(p.name for p in work.rglob('results.json*')) == ['results.json']

    results = json.loads((work / 'results.json').read_text())
    assert results['training']['ranks'] == 2
    assert results['validation']['pictures'] == 5
    best = results['best'][0]
    whole = scores_of_one_process(config, tmp_path / 'last', work / 'iter_4.pth')
    assert results['tests'][0]['metrics'] == pytest.approx(whole, rel=1e-9)
    assert results['validation']['history'][-1]['metrics'] == pytest.approx(whole, rel=1e-9)
    chosen = scores_of_one_process(config, tmp_path / 'best', work / best['checkpoint'])
    assert best['value'] == pytest.approx(chosen['paired/ssim'], rel=1e-9)
    assert len(list((work / 'test/translations/b').glob('*.png'))) == 5
