import threading

import pytest


@pytest.mark.parametrize("number", range(50))
def test_square(number):
    assert number * number == number**2


def test_thread():
    found = []
    thread = threading.Thread(target=found.append, args=(1,))
    thread.start()
    thread.join()
    assert found == [1]


def test_that_fails():
    assert 1 == 2
