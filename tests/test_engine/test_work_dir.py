"""A work directory that holds something already: nothing is mixed, nothing goes unasked."""

import json
import shutil

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from tests.test_engine import tiny
from tests.test_tools.test_command_line import fails, tool


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and the work directory of a training of 2 iterations with results."""
    folder = tmp_path_factory.mktemp('work_dir')
    data = tiny.write_pictures(folder / 'data')
    options = dict(
        train_cfg__max_iters=2,
        default_hooks__results=dict(type='sesim_mmagic.ResultsHook'),
        log_level='WARNING',
    )
    config = tiny.write_config(folder / 'config.py', data, **options)
    tiny.train(config, folder / 'work')
    return config, folder / 'work'


@pytest.fixture
def work(trained, tmp_path):
    """A copy of the work directory, with files that are none of the package's."""
    shutil.copytree(trained[1], tmp_path / 'work')
    (tmp_path / 'work/notes.txt').write_text('mine')
    (tmp_path / 'work/own.pth').write_text('mine')
    return tmp_path / 'work'


def content(folder):
    """Everything of a work directory but logs and copies of the config."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix not in ('.log', '.json5', '.py')
    }


def run(name, *arguments):
    MMLogger._instance_dict.clear()  # two runs of one second would share a logger
    tool(name).main([str(argument) for argument in arguments])


def test_a_second_training_is_refused(trained, work, capsys):
    before = content(work)
    message = fails(capsys, 'train', trained[0], '--work-dir', work)
    assert f"'{work}' holds a training (iter_2.pth, last_checkpoint, results.json)" in message
    assert '--resume' in message and '--overwrite' in message and len(message.splitlines()) == 1
    assert content(work) == before


def test_overwrite_replaces_what_was_written_and_nothing_else(trained, work, capsys):
    run('test', trained[0], work / 'iter_2.pth', '--work-dir', work)
    (work / 'test/mine.txt').write_text('mine')
    (work / 'test/translations/b/old.png').write_text('old')
    options = ('--cfg-options', 'train_cfg.max_iters=1', 'log_level=WARNING')
    run('train', trained[0], '--work-dir', work, '--overwrite', *options)
    said = capsys.readouterr().out
    assert '--overwrite: removed' in said and 'iter_2.pth' in said and 'test/ (' in said
    assert sorted(path.name for path in work.glob('*.pth')) == ['iter_1.pth', 'own.pth']
    assert (work / 'notes.txt').read_text() == 'mine'
    assert [path.name for path in (work / 'test').rglob('*')] == ['mine.txt']
    results = json.loads((work / 'results.json').read_text())
    assert results['training']['iterations'] == 1 and 'tests' not in results


def test_overwrite_removes_nothing_if_the_training_cannot_start(trained, work, capsys):
    before = content(work)
    wrong = ('--cfg-options', 'model.structure_loss.feature_net.pretrained=/no/such.pth')
    fails(capsys, 'train', trained[0], '--work-dir', work, '--overwrite', *wrong)
    # Known when the model meets the weights that it starts from.
    other = ('--cfg-options', f'load_from={trained[1]}/iter_2.pth', 'model.generator.num_blocks=2')
    fails(capsys, 'train', trained[0], '--work-dir', work, '--overwrite', *other)
    assert content(work) == before


def test_a_loop_of_mmengine_resumes_as_the_config_says(trained, work, capsys):
    loop = ('train_cfg.type=IterBasedTrainLoop', 'train_cfg.max_iters=3', 'log_level=WARNING')
    rate = 'optim_wrapper.generators.optimizer.lr=0.5'
    run('train', trained[0], '--work-dir', work, '--resume', '--cfg-options', *loop, rate)
    assert 'optimizer.lr: 0.001 in the checkpoint, 0.5 in the config' in capsys.readouterr().out
    saved = tiny.load(work / 'iter_3.pth')['optimizer']['generators']
    assert saved['param_groups'][0]['initial_lr'] == 0.5


@pytest.mark.parametrize('note', [None, b'\xff\xfe\0', b''])
def test_a_lost_pointer_is_told_with_what_can_be_resumed(trained, work, capsys, note):
    (work / 'last_checkpoint').unlink()
    if note is not None:
        (work / 'last_checkpoint').write_bytes(note)
    message = fails(capsys, 'train', trained[0], '--work-dir', work, '--resume')
    assert "['iter_2.pth', 'own.pth']" not in message and "['iter_2.pth']" in message
    assert '--cfg-options load_from=PATH' in message and 'last_checkpoint' in message


def test_metrics_of_another_test_are_not_replaced(trained, work, capsys):
    out = work / 'metrics.json'
    out.write_text('mine')
    arguments = ('test', trained[0], work / 'iter_2.pth', '--work-dir', work / 'other')
    assert f"'{out}' exists: replace it by --overwrite" in fails(capsys, *arguments, '--out', out)
    assert out.read_text() == 'mine'


def test_scores_of_a_second_test_without_pictures(trained, work, capsys):
    arguments = ('test', trained[0], work / 'iter_2.pth', '--work-dir', work)
    bare = ('--cfg-options', 'default_hooks.translations=None')
    run(*arguments, *bare)
    before = content(work)
    message = fails(capsys, *arguments, *bare)
    assert "results.json' holds the scores of a test of 'iter_2.pth': replace them by" in message
    wrong = ('--overwrite', '--cfg-options', 'model.generator.num_blocks=2')
    fails(capsys, *arguments, *wrong)
    assert content(work) == before
    run(*arguments, '--overwrite', *bare)
    assert 'which are replaced' in capsys.readouterr().out


def test_a_test_does_not_count_the_iterations_of_another_run(
    trained, work, capsys, monkeypatch, hub
):
    """Runs of one process that begin in the same second have one MessageHub."""
    bare = ('--cfg-options', 'default_hooks.translations=None')
    arguments = ('test', trained[0], work / 'iter_2.pth', '--work-dir', work, *bare)
    run(*arguments)
    hub.update_info('iter', 2)
    monkeypatch.setattr(Runner, 'build_message_hub', lambda *args: hub)
    assert "holds the scores of a test of 'iter_2.pth'" in fails(capsys, *arguments)


def test_a_file_is_no_work_directory(trained, work, capsys):
    assert 'is a file' in fails(capsys, 'train', trained[0], '--work-dir', work / 'own.pth')


def test_overwrite_keeps_what_it_starts_from(trained, work, capsys):
    before = content(work)
    load = ('--cfg-options', f'load_from={work}/iter_2.pth')
    message = fails(capsys, 'train', trained[0], '--work-dir', work, '--overwrite', *load)
    assert 'would remove' in message
    message = fails(capsys, 'train', trained[0], '--work-dir', work, '--overwrite', '--resume')
    assert 'choose one' in message
    assert content(work) == before


def test_resume_in_an_empty_directory_starts_at_the_beginning(trained, tmp_path, capsys):
    run('train', trained[0], '--work-dir', tmp_path, '--resume', '--cfg-options', 'log_level=INFO')
    assert capsys.readouterr().out.count('Nothing to resume') == 1
    assert (tmp_path / 'iter_2.pth').is_file()


def test_resume_with_the_best_checkpoint_alone_is_refused(trained, work, capsys):
    weights = tiny.load(work / 'iter_2.pth')['state_dict']
    torch.save(dict(state_dict=weights), work / 'best_paired_psnr_iter_2.pth')
    for name in ('iter_2.pth', 'last_checkpoint'):
        (work / name).unlink()
    before = content(work)
    message = fails(capsys, 'train', trained[0], '--work-dir', work, '--resume')
    assert 'best_paired_psnr_iter_2.pth' in message
    assert 'weights alone' in message and 'load_from=PATH without --resume' in message
    assert content(work) == before


def test_resume_from_elsewhere_does_not_mix_with_a_training(trained, work, capsys):
    load = ('--cfg-options', f'load_from={trained[1]}/iter_2.pth')
    message = fails(capsys, 'train', trained[0], '--work-dir', work, '--resume', *load)
    assert 'is not of it' in message


def test_a_complete_training_says_so(trained, work, capsys):
    options = ('--cfg-options', 'log_level=WARNING')
    run('train', trained[0], '--work-dir', work, '--resume', *options)
    assert 'The training is complete: 2 of 2' in capsys.readouterr().out


def test_a_second_test_is_refused(trained, work, capsys):
    run('test', trained[0], work / 'iter_2.pth', '--work-dir', work)
    before = content(work)
    message = fails(capsys, 'test', trained[0], work / 'iter_2.pth', '--work-dir', work)
    assert f"'{work / 'test'}' holds the 7 files of a test" in message and '--overwrite' in message
    assert content(work) == before
    (work / 'test/translations/b/old.png').write_text('old')
    run('test', trained[0], work / 'iter_2.pth', '--work-dir', work, '--overwrite')
    assert sorted(p.name for p in (work / 'test/translations/b').iterdir()) == [
        '0.png',
        '1.png',
        '2.png',
    ]
    assert len(json.loads((work / 'results.json').read_text())['tests']) == 1


def test_a_training_keeps_the_results_of_tests_that_were_there(trained, tmp_path):
    run('test', trained[0], trained[1] / 'iter_2.pth', '--work-dir', tmp_path)
    run('train', trained[0], '--work-dir', tmp_path)
    results = json.loads((tmp_path / 'results.json').read_text())
    assert len(results['tests']) == 1 and results['training']['iterations'] == 2
