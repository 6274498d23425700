"""The checks of plain arguments: what they return, what they refuse, and in which words."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nnx.checks import (
    boolean,
    check_choice,
    check_range,
    integer,
    is_number,
    non_negative_integer,
    number,
    positive_integer,
)

NUMBERS = "f: expected x to be a"


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.float64(2), np.int8(2), Fraction(2)])
def test_numbers_become_those_of_python(value: Any) -> None:
    found = number("f", "x", value, 0.0)
    assert (type(found), found) == (float, 2.0)
    assert is_number(value)


@pytest.mark.parametrize("value", ["2", None, True, np.bool_(True), 1j, [2.0], np.asarray(2.0)])
def test_what_is_no_number(value: Any) -> None:
    assert not is_number(value)
    for options, text in (
        ({}, "finite number"),
        ({"low": 0.0}, "number of at least 0"),
        ({"infinite": True}, "number"),
    ):
        with pytest.raises(TypeError) as caught:
            number("f", "x", value, **options)
        assert str(caught.value).startswith(f"{NUMBERS} {text}, got {value!r}; pass ")


OUTSIDE: list[tuple[tuple, dict, str]] = [
    ((math.nan,), {}, " finite number, got nan; pass a float."),
    ((math.inf,), {}, " finite number, got inf; pass a float."),
    ((math.nan,), {"infinite": True}, " number, got nan; pass a float."),
    ((-1, 0.0), {}, " number of at least 0, got -1; pass one in that range."),
    ((math.inf, 0.0), {}, " finite number of at least 0, got inf; pass one in that range."),
    ((0, 0.0), {"above": True}, " number above 0, got 0; pass one in that range."),
    ((1.5, 0.0, 1.0), {}, " number from 0 to 1, got 1.5; pass one in that range."),
    ((1, 0.0, 1.0), {"below": True}, " number from 0 to below 1, got 1; pass one in that range."),
    ((0, 0.0, 1.0), {"above": True}, " number above 0 and at most 1, got 0; pass one in that range."),
    ((1, 0.0, 1.0), {"above": True, "below": True}, " number above 0 and below 1, got 1; pass one in that range."),
    ((2, -math.inf, 1.0), {}, " number of at most 1, got 2; pass one in that range."),
    ((1, -math.inf, 1.0), {"below": True}, " number below 1, got 1; pass one in that range."),
    ((-1, 0.0), {"fix": "swap them"}, " number of at least 0, got -1; swap them."),
]


@pytest.mark.parametrize(("arguments", "options", "text"), OUTSIDE)
def test_numbers_outside(arguments: tuple, options: dict, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        number("f", "x", *arguments, **options)
    assert str(caught.value) == NUMBERS + text


def test_ends_belong_to_the_range_unless_left_out() -> None:
    assert number("f", "x", 0, 0.0, 1.0) == 0.0
    assert number("f", "x", 1, 0.0, 1.0) == 1.0
    assert number("f", "x", math.inf, 0.0, above=True, infinite=True) == math.inf
    assert number("f", "x", -math.inf, infinite=True) == -math.inf
    check_range("f", "x", 1.0, 0.0, high=1.0, above=True)
    with pytest.raises(ValueError, match=r"from 0 to below 1, got 1\.0"):
        check_range("f", "x", 1.0, 0.0, 1.0)


REFUSED: list[tuple[Callable, type[Exception], str]] = [
    (lambda: positive_integer("f", "n", 0), ValueError, "f: expected n to be a positive integer, got 0."),
    (lambda: positive_integer("f", "n", 1.0), TypeError, "f: expected n to be a positive integer, got 1.0."),
    (lambda: non_negative_integer("f", "n", -1), ValueError, "f: expected n to be a non-negative integer, got -1."),
    (lambda: integer("f", "n", True), TypeError, "f: expected n to be an integer, got True."),
    (lambda: integer("f", "n", 1, 2), ValueError, "f: expected n to be an integer of at least 2, got 1."),
    (lambda: boolean("f", "b", 1), TypeError, "f: expected b to be True or False, got 1."),
    (lambda: check_choice("f", "c", "x", ("a", "b")), ValueError, "f: expected c to be one of 'a', 'b', got 'x'."),
    (lambda: check_choice("f", "c", ["a"], ("a",)), TypeError, "f: expected c to be one of 'a', got ['a']."),
    (lambda: check_choice("f", "c", np.ones(2), ("a",)), TypeError, "f: expected c to be one of 'a', got array("),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED)
def test_other_arguments(call: Callable, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(text)


def test_a_choice_may_be_none() -> None:
    check_choice("f", "c", None, (None, "a"))
    check_choice("f", "c", "a", (None, "a"))
