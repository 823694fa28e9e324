"""Makes `tests` importable for the helpers it shares, hypothesis repeatable, and keeps kernels out of the home."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parents[1]))
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

CACHE = pytest.StashKey[str]()


def pytest_configure(config):
    """One cache of compiled kernels for the session, with its workers and subprocesses; a given one is kept."""
    if "GRUVY_CACHE" not in os.environ:
        os.environ["GRUVY_CACHE"] = config.stash[CACHE] = tempfile.mkdtemp(prefix="gruvy-tests-")


def pytest_unconfigure(config):
    if CACHE in config.stash:
        del os.environ["GRUVY_CACHE"]
        shutil.rmtree(config.stash[CACHE], ignore_errors=True)
