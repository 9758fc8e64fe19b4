"""Calls in threads that run ahead of what is asked for."""

import time
from concurrent.futures import ThreadPoolExecutor

from sesim_mmagic.apis.inference.ahead import ahead


def test_results_come_in_order_and_few_wait():
    taken = []

    def items():
        for i in range(9):
            taken.append(i)
            yield i

    def square(i):
        time.sleep(0.01 * (i % 3 == 0))  # the first of three ends last
        if i == 4:
            raise ValueError('four')
        return i * i

    found = []
    with ThreadPoolExecutor(4) as threads:
        for i, result in ahead(threads, square, items(), 2):
            assert len(taken) <= i + 3
            found.append(str(result.exception()) if i == 4 else result.result())
    assert found == [0, 1, 4, 9, 'four', 25, 36, 49, 64]


def test_a_call_runs_while_an_earlier_result_is_used():
    with ThreadPoolExecutor(1) as threads:
        results = ahead(threads, str, range(3), 1)
        assert next(results)[1].result() == '0'
        threads.submit(int).result()  # comes behind the second call in the only thread
        assert next(results)[1].done()
