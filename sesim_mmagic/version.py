"""Version of the package; read as text by ``setup.py``, which must not import the package."""

__version__ = '0.1.0'
