"""Which files of a folder are pictures: regular files of known suffixes, nothing hidden."""

import os
import socket

import pytest

from sesim_mmagic.utils.images import PICTURE_SUFFIXES, list_images


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'content does not count')


def test_suffixes_in_any_case_and_the_rest_is_counted(tmp_path):
    taken = [f'{i}{suffix}' for i, suffix in enumerate(PICTURE_SUFFIXES)]
    taken += ['a.Png', 'b.JPEG', 'c.WebP', 'd.e.pNM']
    make(tmp_path, *taken, 'x.gif', 'y.GIF', 'README', 'z.txt')
    listing = list_images(tmp_path)
    assert listing.names == sorted(taken)
    assert listing.files == [tmp_path / name for name in sorted(taken)]
    total = len(taken) + 4
    assert listing.note() == f'4 of {total} files left out: .gif 2, .txt 1, without suffix 1'
    assert {'.png', '.jpg', '.jpeg', '.jfif', '.jpe', '.webp', '.bmp', '.tif', '.tiff'} <= set(
        PICTURE_SUFFIXES
    )
    assert {'.ppm', '.pgm', '.pbm', '.pnm', '.jp2', '.avif'} <= set(PICTURE_SUFFIXES)


def test_other_suffixes_where_asked_for(tmp_path):
    make(tmp_path, 'a.png', 'b.MP4', 'c.gif')
    listing = list_images(tmp_path, extra_suffixes=('.mp4',))
    assert listing.names == ['a.png', 'b.MP4']
    assert listing.left_out == {'.gif': 1}


def test_notes_beside_translations_do_not_count(tmp_path):
    make(tmp_path, 'a.png', 'failed.json', 'index.html', 'b/index.html')
    assert list_images(tmp_path).left_out == {'.html': 2, '.json': 1}, 'it is any folder'
    make(tmp_path, 'translations.json')
    assert list_images(tmp_path).left_out == {'.html': 1}


def test_nothing_left_out_is_no_note(tmp_path):
    make(tmp_path, 'a.png', '.hidden.png')
    assert list_images(tmp_path).note() is None


def test_hidden_files_and_folders_are_left_out(tmp_path):
    folder = tmp_path / '.cache' / 'pictures'  # hidden above the folder does not count
    make(
        folder,
        'a.png',
        '._a.png',
        '.Trash-1000/files/b.png',
        'c/.ipynb_checkpoints/d.png',
        'c/e.png',
    )
    listing = list_images(folder)
    assert listing.names == ['a.png', 'c/e.png']
    assert not listing.left_out and listing.hidden == 3


def test_folders_inside_are_kept_in_names_and_ordered_as_text(tmp_path):
    make(tmp_path, 'b/a.png', 'b.png', 'a/b/c.png', 'a.png', 'Z.png', 'x.png/y.png')
    names = ['Z.png', 'a.png', 'a/b/c.png', 'b.png', 'b/a.png', 'x.png/y.png']
    assert list_images(tmp_path).names == names
    flat = list_images(tmp_path, recursive=False)
    assert flat.names == ['Z.png', 'a.png', 'b.png']
    assert flat.left_out == {'folder': 3}


def test_links_are_followed_and_loops_end(tmp_path):
    folder, elsewhere = tmp_path / 'folder', tmp_path / 'elsewhere'
    make(folder, 'a.png', 'inside/b.png')
    make(elsewhere, 'c.png', 'deep/d.png', '0123.bin')
    (folder / 'e.png').symlink_to(elsewhere / '0123.bin')  # the name of the link counts
    (folder / 'more').symlink_to(elsewhere)
    (folder / 'again').symlink_to(folder / 'inside')  # is there under its own name
    (folder / 'loop').symlink_to(folder)
    (elsewhere / 'deep' / 'up').symlink_to(tmp_path)
    (folder / 'gone.png').symlink_to(folder / 'nothing')
    (folder / 'itself.png').symlink_to(folder / 'itself.png')
    listing = list_images(folder)
    assert listing.names == ['a.png', 'e.png', 'inside/b.png', 'more/c.png', 'more/deep/d.png']
    assert listing.left_out == {'broken link': 2, '.bin': 1}


def test_many_links_among_folders_end_at_once(tmp_path):
    for i in range(30):
        make(tmp_path, f'{i:02}/{i}.png')
    for i in range(30):
        for j in range(30):
            (tmp_path / f'{i:02}' / f'to{j}').symlink_to(tmp_path / f'{j:02}')
    assert list_images(tmp_path).names == [f'{i:02}/{i}.png' for i in range(30)]


def test_only_regular_files(tmp_path):
    make(tmp_path, 'a.png')
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'zero.png').symlink_to('/dev/zero')
    (tmp_path / 'to_pipe.jpg').symlink_to(tmp_path / 'pipe.png')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / 's.png'))
        listing = list_images(tmp_path)
    assert listing.names == ['a.png']
    assert listing.left_out == {'named pipe': 2, 'device': 1, 'socket': 1}


def test_names_of_any_bytes_and_lengths(tmp_path):
    names = [
        b'l\xf6we.png',
        b'\xff' * 251 + b'.jpg',
        ('ä' * 125 + '.webp').encode(),
        b'new\nline.png',
    ]
    for name in names:
        with open(os.fsencode(tmp_path) + b'/' + name, 'wb'):
            pass
    listing = list_images(tmp_path)
    assert [os.fsencode(name) for name in listing.names] == sorted(names, key=os.fsdecode)
    assert len(repr(listing.nothing()).splitlines()) == 1


def test_excluded_folders_are_not_entered(tmp_path):
    make(tmp_path, 'a.png', 'out/a.png', 'out/report.html')
    (tmp_path / 'link').symlink_to(tmp_path / 'out')
    listing = list_images(tmp_path, exclude=[tmp_path / 'out', tmp_path / 'missing'])
    assert listing.names == ['a.png'] and not listing.left_out


def test_missing_folders_and_files_are_refused(tmp_path):
    make(tmp_path, 'a.png')
    for path in (tmp_path / 'none', tmp_path / 'a.png'):
        with pytest.raises(FileNotFoundError, match='is not a folder'):
            list_images(path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root reads everything')
def test_folders_that_must_not_be_read_are_counted(tmp_path):
    make(tmp_path, 'a.png', 'closed/b.png')
    (tmp_path / 'closed').chmod(0)
    assert list_images(tmp_path).left_out == {'unreadable folder': 1}
    (tmp_path / 'closed').chmod(0o755)


def test_why_a_folder_has_no_picture(tmp_path):
    make(tmp_path, 'a.gif', '.b.png')
    text = list_images(tmp_path).nothing()
    assert 'holds no picture' in text and '.avif' in text
    assert '1 of 1 files left out: .gif 1' in text and 'hidden files and folders' in text
