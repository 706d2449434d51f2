"""Read by every Python that has this folder on PYTHONPATH: the processes that a test with a pretended GPU starts have it too."""

from tests.pretended_gpu import pretend

pretend()
