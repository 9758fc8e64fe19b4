"""Videos through OpenCV: frames in, frames out. Sound is not carried over."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np


@contextmanager
def _plain_path(path: Path) -> Iterator[str]:
    """A path of an existing file for OpenCV, which crashes on names that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with TemporaryDirectory() as folder:
            link = Path(folder, f'video{path.suffix}')
            link.symlink_to(path.absolute())
            yield str(link)
    else:
        yield str(path)


class VideoReader:
    """Frames of a video.

    Args:
        path (str | Path): File.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: OpenCV cannot read it.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"Video '{path}' does not exist.")
        self.path = path
        with _plain_path(Path(path)) as plain:
            self._capture = cv2.VideoCapture(plain)
        if not self._capture.isOpened():
            raise ValueError(f"Video '{path}' cannot be used: OpenCV does not open it.")
        #: Frames a second; 25 where the file does not say.
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        #: Number of frames as the file announces it; 0 where it does not.
        self.announced = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, (H, W, 3), BGR, uint8, upright.

        Raises:
            ValueError: The video ends more than a second before its announced end.
        """
        count = 0
        try:
            while True:
                is_frame, frame = self._capture.read()
                if not is_frame:
                    break
                count += 1
                yield frame
        finally:
            self._capture.release()
        # The number is an estimate in some containers.
        if count == 0 or count + self.fps < self.announced:
            raise ValueError(
                f"Video '{self.path}' is damaged: {count} of {self.announced} frames can be read."
            )


class VideoWriter:
    """Writes an MP4 file (MPEG-4 Part 2, ``mp4v``) that appears once it is complete.

    As chroma is halved, OpenCV drops the last row or column of frames of odd sides.

    Args:
        path (str | Path): File to write; missing parent folders are created.
        fps (float): Frames a second.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        # The suffix chooses the container.
        self._partial = self.path.with_name(f'.{self.path.stem}.tmp{self.path.suffix}')
        self._fps = fps
        self._writer = None
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, (H, W, 3), BGR, uint8; all are of one size."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.touch()  # a folder that cannot be written to says so itself
            size = frame.shape[1], frame.shape[0]
            code = cv2.VideoWriter_fourcc(*'mp4v')
            with _plain_path(self._partial) as plain:
                self._writer = cv2.VideoWriter(plain, code, self._fps, size)
            if not self._writer.isOpened():
                self.discard()
                raise OSError(f"OpenCV cannot write the video '{self.path}'.")
        self._writer.write(frame)
        self._count += 1

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            OSError: Not every frame got into the file: OpenCV itself is silent on a full disk.
        """
        self._writer.release()
        with _plain_path(self._partial) as plain:
            written = cv2.VideoCapture(plain)
        found = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
        written.release()
        if found != self._count:
            self.discard()
            raise OSError(
                f"Video '{self.path}' could not be written, {found} of {self._count} frames got "
                'into the file: is the disk full?'
            )
        self._partial.replace(self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.release()
        self._partial.unlink(missing_ok=True)
