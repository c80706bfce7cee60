"""The checks that every backend must pass, on the Host Compute Service: under Wine, on its doubles."""

import pytest

from windows.hcs import CONTROL, Hcs, native

if CONTROL is None:
    pytest.skip("needs the doubles of the Host Compute Service", allow_module_level=True)


@pytest.mark.parametrize("api", ["vmcompute", "computestorage"])
@pytest.mark.parametrize("check", native._conformance_checks() if CONTROL else [])
def test_the_service_conforms(hcs: Hcs, check: str, api: str) -> None:
    native._check_conformance(check, "hcs", hcs_api=api)
    assert hcs.violations() == []
    assert hcs.ready() == {}


@pytest.mark.parametrize("fsync", [True, False])
@pytest.mark.parametrize("check", native._conformance_checks() if CONTROL else [])
def test_plain_files_conform_on_windows_too(check: str, fsync: bool) -> None:
    native._check_conformance(check, "portable", fsync)
