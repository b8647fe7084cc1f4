"""Run in every Python of a counter-proof: a reader of tables that trusts what it reads."""

import pickle

from qualia_lab import table_files


def _trusting(content: bytes, most: object) -> object:
    return pickle.loads(content)


table_files._csv = _trusting
