"""The figures in the READMEs, and those that examples are held to, are the ones of the result files."""

import ast
import json
import re
import shutil
from statistics import mean

import pytest

from benchmarks import conv, recipes, report

PAGES = ("README.md", "benchmarks/README.md")


@pytest.fixture
def copy(tmp_path):
    """The pages and the result files, to be changed."""
    (tmp_path / "benchmarks").mkdir()
    for page in PAGES:
        shutil.copy(report.ROOT / page, tmp_path / page)
    shutil.copytree(report.RESULTS, tmp_path / "benchmarks" / "results")
    return tmp_path


def change(copy, name, edit):
    path = copy / "benchmarks" / "results" / f"{name}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def stale(copy):
    return report.stale(copy, copy / "benchmarks" / "results")


def test_the_pages_tell_what_was_measured():
    assert list(report.stale()) == [], "run `python -m benchmarks.report`"


@pytest.mark.parametrize("page", PAGES)
def test_every_ratio_is_on_the_page(page):
    text = (report.ROOT / page).read_text(encoding="utf-8")
    content = json.loads((report.RESULTS / "mlp.json").read_text())
    for row in content["rows"]:
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {row['work']} |")]
        assert f"| {row['ratio']:.2f} |" in line
        assert f"≤ {row['gate']:g}: {'met' if row['ratio'] <= row['gate'] else 'not met'} |" in line
    (over,) = re.findall(r"\| \+ ([\d.]+) µs \| ≤ 0\.5 µs", text)
    rows = json.loads((report.RESULTS / "overhead.json").read_text())["rows"]
    assert rows[0]["operation"] == "add"
    assert float(over) == round(rows[0]["over_numpy_us"]["tracked"], 2)


def test_another_measurement_is_noticed_on_both_pages(copy):
    assert stale(copy) == {}
    change(copy, "mlp", lambda content: content["rows"][0].update(ratio=0.95))
    pages = stale(copy)
    assert set(pages) == set(PAGES)
    for page in pages.values():
        assert "| 0.95 | ≤ 0.9: not met | ≤ 0.75: not met |" in page


def test_a_figure_changed_by_hand_is_noticed(copy):
    page = copy / "benchmarks" / "README.md"
    before = page.read_text()
    page.write_text(re.sub(r"\+0\.\d\d µs", "+0.01 µs", before, count=1))
    assert stale(copy) == {"benchmarks/README.md": before}


def test_layers_are_told_once_they_are_measured(copy):
    def row(layer, kind, part, ratio):
        times = {name: {"median_us": 12345.0, "samples_us": [1.0, 2.0]} for name in ("nnx", conv.DEFAULT, conv.LAST)}
        found = {"layer": layer, "kind": kind, "part": part, "results": times}
        return found | {"ratio": ratio, "ratio_last": 1.5}

    rows = [row("one", "Winograd", part, 0.5) for part in conv.PARTS]
    rows += [row("two", "other", part, 2.04) for part in conv.PARTS]
    rows += [row("three", "depthwise", part, 4.0) for part in conv.PARTS]
    results = copy / "benchmarks" / "results"
    machine = json.loads((results / "mlp.json").read_text())["machine"]
    for file, threads in (("conv", 1), ("conv_2_threads", 2)):
        (results / f"{file}.json").write_text(json.dumps({"machine": machine | {"threads": threads}, "rows": rows}))
    pages = stale(copy)
    mean = "convolution, forward + backward, geometric mean of 2 layers"
    for page in pages.values():
        for work in (mean, f"{mean}, 2 threads"):
            assert f"| {work} |  | torch eager | 1.01 | ≤ 1: not met | ≤ 1 of channels_last: not met |" in page
    full = pages["benchmarks/README.md"]
    for line in (
        "| one | 12.3 ms | 12.3 ms | 12.3 ms | 0.50 | 0.50 | 0.50 | 0.50 | 1.50 | ≤ 1.2: met |",
        "| two | 12.3 ms | 12.3 ms | 12.3 ms | 2.04 | 2.04 | 2.04 | 2.04 | 1.50 | ≤ 2: not met |",
        "| three | 12.3 ms | 12.3 ms | 12.3 ms | 4.00 | 4.00 | 4.00 | 4.00 | 1.50 | ≤ 5: met |",
        "| geometric mean without depthwise |  |  |  | 1.01 | 1.01 | 1.01 | 1.01 | 1.50 | ≤ 1: not met |",
    ):
        assert full.count(line) == 2


def test_what_stands_around_the_tables_is_kept(copy):
    change(copy, "overhead", lambda content: content["machine"].update(cpu="Abacus"))
    new = stale(copy)["benchmarks/README.md"]
    before, _, rest = new.partition(report.BEGIN)
    old = (copy / "benchmarks" / "README.md").read_text()
    assert "Abacus" in rest
    assert before == old.partition(report.BEGIN)[0]
    assert rest.partition(report.END)[2] == old.partition(report.END)[2]


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="expected <!-- results: begin --> and <!-- results: end --> once each"):
        report.rewritten("# Title\n", "text")


RECIPES = json.loads((report.RESULTS / "recipes.json").read_text())["rows"]


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: f"{row['example']} {row['part']}")
def test_a_recipe_meets_its_bar(row):
    ours, theirs = row["results"]["nnx"], row["results"]["torch"]
    assert len(ours) == len(theirs) >= 3
    assert row["bar"] == recipes.bar(row["example"], row["part"], theirs)
    assert mean(ours) >= row["bar"] >= mean(theirs) - recipes.MARGIN
    page = (report.ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    start = f"| `{row['example']}.py`{row['part'] and ', '}{row['part']} |"
    (line,) = [line for line in page.splitlines() if line.startswith(start)]
    assert f"| {mean(ours):.3f} ({min(ours):.3f}–{max(ours):.3f}) | {mean(theirs):.3f} (" in line
    assert line.endswith(f"| ≥ {row['bar']:.3f}: met |")


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_an_example_is_held_to_the_figures_of_its_recipe(name):
    measured = {row["part"]: mean(row["results"]["torch"]) for row in RECIPES if row["example"] == name}
    floors = {floor for (example, _), floor in recipes.FLOORS.items() if example == name}
    source = (recipes.EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    constants = {key: ast.literal_eval(value) for key, value in re.findall(r"^(TORCH|TARGET) = (.+)$", source, re.M)}
    stated = constants.pop("TORCH")
    if isinstance(stated, dict):
        assert stated == {part: round(value, 4) for part, value in measured.items()}
    else:  # of the last network
        assert stated == round(list(measured.values())[-1], 4)
    target = constants.pop("TARGET", {})
    assert set(target.values() if isinstance(target, dict) else [target]) == floors
    assert f"- {recipes.MARGIN:g}" in source


def test_what_scripts_print_is_read_by_seed_and_part():
    output = (
        "L2 penalty, seed 0: held-out accuracy 0.8260\n"
        "L2 penalty, seed 1: held-out accuracy 0.8383\n"
        "L2 penalty: mean of 2 0.8322 (PyTorch: 0.8449)\n"
        "seed 0: off by 51,001 dollars (RMSE), held-out R2 -0.5\n"
    )
    assert recipes.figures(output) == {("L2 penalty", "accuracy"): [0.826, 0.8383], ("", "R2"): [-0.5]}
