"""Videos through OpenCV: frames in, frames out. Sound is not carried over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import mmcv
import numpy as np


@contextmanager
def _plain_path(path: Path) -> Iterator[str]:
    """Another name of a file for OpenCV, which ends the process on names that are not UTF-8."""
    with TemporaryDirectory() as folder:
        link = Path(folder, f'video{path.suffix}')
        link.symlink_to(path.absolute())
        yield str(link)


def read_video(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    """Frames a second (25 where the file does not say), and the frames (H, W, 3), BGR, uint8.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: OpenCV cannot read it or, at the end, it ends more than a second too early.
    """
    if not path.is_file():
        raise FileNotFoundError(f"Video '{path}' does not exist.")
    with _plain_path(path) as plain:
        reader = mmcv.VideoReader(plain)
    if not reader.opened:
        raise ValueError(f"Video '{path}' cannot be used: OpenCV does not open it.")
    fps = reader.fps or 25.0

    def frames() -> Iterator[np.ndarray]:
        yield from reader
        # The number is an estimate in some containers.
        if reader.position == 0 or reader.position + fps < reader.frame_cnt:
            raise ValueError(
                f"Video '{path}' is damaged: {reader.position} of {reader.frame_cnt} frames can be "
                'read.'
            )

    return fps, frames()


@contextmanager
def video_writer(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Write an MP4 file (MPEG-4 Part 2, ``mp4v``) that appears once it is complete.

    As chroma is halved, OpenCV drops the last row or column of frames of odd sides.

    Yields:
        Callable: Adds a frame, (H, W, 3), BGR, uint8; all are of one size.

    Raises:
        OSError: The file cannot be written; nothing is left of it.
    """
    partial = path.with_name(f'.{path.stem}.tmp{path.suffix}')
    writer, count = cv2.VideoWriter(), 0

    def write(frame: np.ndarray) -> None:
        nonlocal count
        if count == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.touch()  # a folder that cannot be written to says so itself
            with _plain_path(partial) as plain:
                code = cv2.VideoWriter.fourcc(*'mp4v')
                writer.open(plain, code, fps, frame.shape[1::-1])
            if not writer.isOpened():
                raise OSError(f"OpenCV cannot write the video '{path}'.")
        writer.write(frame)
        count += 1

    try:
        yield write
        writer.release()
        with _plain_path(partial) as plain:
            written = max(0, mmcv.VideoReader(plain).frame_cnt)
        if written != count:  # OpenCV itself is silent on a full disk
            raise OSError(
                f"Video '{path}' could not be written, {written} of {count} frames got into the "
                'file: is the disk full?'
            )
        partial.replace(path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)
