"""That tests which need more than is there are skipped, or are not where nothing may be skipped."""

import pytest
from support.skipping import VARIABLE, skip_without


def test_what_is_missing_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "0", "1"):
        monkeypatch.delenv(VARIABLE, raising=False)
        if value is not None:
            monkeypatch.setenv(VARIABLE, value)
        assert skip_without("here", "needs it").args == (False,)
        if value == "1":
            with pytest.raises(RuntimeError, match="needs it, and DIFFMATTE_NO_SKIP is set"):
                skip_without(None, "needs it")
        else:
            assert skip_without(None, "needs it").args == (True,)
