import numpy as np
import pytest

from diffusionrig.io.charts import STRONG, Line, Panel, line_charts, log_ticks, ticks


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (3.0, 17.0, [5, 10, 15]), (-0.02, 0.03, [-0.02, -0.01, 0, 0.01, 0.02, 0.03]),
    (0.0, 6200.0, [0, 2000, 4000, 6000])])
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_of_logarithms():
    assert log_ticks(0.04, 0.6) == pytest.approx([0.05, 0.1, 0.2, 0.5])
    assert log_ticks(0.5, 5000) == pytest.approx([1, 10, 100, 1000])
    assert log_ticks(0.31, 0.44) == pytest.approx([0.35, 0.4])


def heights(picture):
    """Mean row of the strongly coloured pixels of each column that has any."""
    strong = (np.abs(picture.astype(int) - STRONG).sum(-1) < 60)
    columns = np.flatnonzero(strong.any(0))
    return columns, np.array([np.flatnonzero(strong[:, column]).mean() for column in columns])


def test_a_curve_is_drawn_where_its_values_are():
    x = np.arange(101.0)
    columns, rows = heights(line_charts([Panel("line", [Line(x, 3 * x)])], columns=1))
    slope = np.polyfit(columns, rows, 1)
    assert np.abs(np.polyval(slope, columns) - rows).max() < 2
    assert slope[0] < -0.3
    # An exponential is straight on a logarithmic scale; values of zero and less are left out.
    y = np.where(x == 50, 0.0, 10 ** (x / 50 - 1))
    columns, rows = heights(line_charts([Panel("growth", [Line(x, y)], log=True)], columns=1))
    assert np.abs(np.polyval(np.polyfit(columns, rows, 1), columns) - rows).max() < 2


def test_a_single_point_constant_curves_and_nothing_at_all():
    one = line_charts([Panel("a point", [Line(np.array([5.0]), np.array([2.0]))])], "heading", columns=1)
    assert len(heights(one)[0]) > 2
    zeros = Line(np.arange(5.0), np.zeros(5))
    flat = line_charts([Panel("flat", [zeros]), Panel("nothing above zero", [zeros], log=True)], columns=2)
    columns, rows = heights(flat)
    assert columns.max() < flat.shape[1] / 2
    assert rows.std() == 0
