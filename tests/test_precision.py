"""How exactly a GPU multiplies is chosen for a block of code, and wrong names are refused."""

import pytest

import nnx


def test_the_choice_holds_within_the_block() -> None:
    assert nnx.float32_precision() == "highest"
    with nnx.use_float32_precision("high"):
        assert nnx.float32_precision() == "high"
        with nnx.use_float32_precision("highest"):
            assert nnx.float32_precision() == "highest"
        assert nnx.float32_precision() == "high"
    assert nnx.float32_precision() == "highest"


def test_an_unknown_one_is_refused() -> None:
    wanted = r"use_float32_precision: expected 'highest' or 'high', got 'medium'\."
    with pytest.raises(ValueError, match=wanted), nnx.use_float32_precision("medium"):
        pass
