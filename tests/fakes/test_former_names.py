"""Names that ``intermodal.testing`` had in the version before are accepted, with a warning."""

from __future__ import annotations

import pytest

import intermodal.testing


def test_held_is_listed_model_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match="ListedModel"):
        assert getattr(intermodal.testing, "Held") is intermodal.testing.ListedModel  # noqa: B009


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(intermodal.testing, "Nothing")  # noqa: B009
