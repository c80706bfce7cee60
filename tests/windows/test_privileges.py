"""Privileges are held by one thread, for one scope: seen from outside, in the token that the thread has."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from windows.native import FOR_TESTS, native, winerror
from windows.tokens import ALL, BACKUP, REMOVED, RESTORE, SECURITY, enabled, identity, impersonation, take_away

if not FOR_TESTS:
    pytest.skip("needs Windows, and a module built for tests", allow_module_level=True)

CREATE_TOKEN = "SeCreateTokenPrivilege"
NOT_HELD = 1314


def hold(names: Iterable[str], inside: Callable[[], Any] = enabled) -> Any:
    return native._with_privileges(list(names), inside)


@pytest.fixture(autouse=True)
def nothing_enabled() -> Iterator[None]:
    """Wine's process has them enabled, an elevated process on Windows has not; no test may leave anything behind."""
    take_away("process", ALL)
    assert enabled() is None
    yield
    assert enabled() is None
    assert enabled("process") == set()


def test_one_thread_holds_what_it_asked_for() -> None:
    assert hold([BACKUP, SECURITY]) == {BACKUP, SECURITY}
    assert hold([BACKUP], lambda: enabled("process")) == set()
    assert hold([]) == set()


def test_scopes_nest() -> None:
    seen = []

    def outer() -> None:
        seen.append(enabled())
        seen.append(hold([RESTORE, BACKUP]))
        seen.append(enabled())
        seen.append(hold([SECURITY], lambda: hold([RESTORE])))
        seen.append(enabled())

    hold([BACKUP], outer)
    assert seen == [{BACKUP}, {BACKUP, RESTORE}, {BACKUP}, set(ALL), {BACKUP}]


def test_an_exception_ends_the_scope() -> None:
    seen = []

    def outer() -> None:
        with pytest.raises(ZeroDivisionError):
            hold([RESTORE], lambda: 1 // 0)
        seen.append(enabled())
        raise KeyError("outer")

    with pytest.raises(KeyError, match="outer"):
        hold([BACKUP], outer)
    assert seen == [{BACKUP}]


def test_one_that_the_token_lacks_is_named() -> None:
    def outer() -> None:
        with pytest.raises(PermissionError, match=f"{CREATE_TOKEN} .run elevated") as raised:
            hold([RESTORE, CREATE_TOKEN])
        assert winerror(raised.value) == NOT_HELD
        assert enabled() == {BACKUP}

    hold([BACKUP], outer)


def test_threads_do_not_see_each_other() -> None:
    barrier = threading.Barrier(len(ALL) + 1)
    seen: dict[str, set[frozenset[str] | None]] = {}

    def look(name: str) -> None:
        for _ in range(50):
            barrier.wait(30)
            held = enabled()
            seen.setdefault(name, set()).add(None if held is None else frozenset(held))

    def work(name: str) -> None:
        hold([name], lambda: look(name))
        assert enabled() is None

    threads = [threading.Thread(target=work, args=(name,)) for name in ALL]
    threads.append(threading.Thread(target=look, args=("none",)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"none": {None}, **{name: {frozenset([name])} for name in ALL}}


def test_an_impersonation_of_the_callers_own_is_put_back() -> None:
    with impersonation():
        before = identity()
        assert enabled() == set()
        assert hold([BACKUP]) == {BACKUP}
        assert hold([BACKUP], identity) != before
        assert identity() == before
        assert enabled() == set()


def test_rights_of_the_process_do_not_go_to_whom_the_thread_impersonates() -> None:
    with impersonation():
        take_away("thread", [BACKUP], REMOVED)
        with pytest.raises(PermissionError, match=BACKUP):
            hold([BACKUP])
        assert hold([RESTORE]) == {RESTORE}
    assert hold([BACKUP]) == {BACKUP}
