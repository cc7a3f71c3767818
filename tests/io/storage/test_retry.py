"""One policy of retries: its waits double up to a limit, and each library is told the same number of tries."""

from __future__ import annotations

import itertools

import obstore.store
from hypothesis import given
from hypothesis import strategies as st

from lensctl.io.storage import s3
from lensctl.io.storage.retry import POLICY, RetryPolicy


@given(st.integers(1, 50), st.floats(0.01, 5), st.floats(5, 60))
def test_waits_double_until_they_are_the_longest(tries, first, longest):
    policy = RetryPolicy(tries, first, longest)
    waits = [policy.longest_before(retry) for retry in range(1, 40)]
    assert waits[0] == first
    assert waits[-1] == longest
    assert all(after in (2 * before, longest) for before, after in itertools.pairwise(waits))


@given(st.integers(1, 50))
def test_every_library_asks_as_often(tries):
    policy = RetryPolicy(tries)
    assert policy.for_obstore(60)["max_retries"] == tries - 1
    assert policy.for_botocore()["total_max_attempts"] == tries


def test_obstore_takes_the_policy():
    assert obstore.store.HTTPStore.from_url("http://127.0.0.1:9", retry_config=POLICY.for_obstore(1.0))


def test_the_clients_of_s3_keep_to_it(bucket):
    assert s3.client().meta.config.retries == POLICY.for_botocore()
    assert s3.object_store(bucket).retry_config["max_retries"] == POLICY.tries - 1
