import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks.cli import main
from benchmarks.fields import fields_section
from benchmarks.generator import OK, SHED, Sample, Trace
from benchmarks.report import DESIGNS_PLOT, DOCUMENT, RESULTS, THROUGHPUT_PLOT, ReportError, fill
from benchmarks.summary import summarise_repeats, summarise_run

SECTIONS = (
    "load", "gpu", "levers", "stages", "peers", "sweep", "encoders", "photographs", "fields", "bulk", "cores", "uptime", "index-scale", "speech", "designs", "css",
    "fashion200k", "precisions", "photograph-precisions", "tuning", "several-pictures", "ranking", "experiments", "moderation", "personal", "features",
)  # fmt: skip
MARKERS = "# Title\n\nprose\n" + "".join(
    f"\n<!-- begin: {name} -->\n<!-- end: {name} -->\n" for name in SECTIONS
)


def case(answers: float, **labels: Any) -> dict[str, Any]:
    """A result of three repeats at about so many answers a second."""
    traces = [Trace([Sample(OK, 0.01)] * int(answers + n) + [Sample(SHED, 0.001)] * n, 1.0) for n in range(3)]
    runs = [summarise_run(trace, {"gateway": 0.1, "triton": 0.3, "generator": 0.05}) for trace in traces]
    return labels | {"pooled": summarise_repeats(traces, runs), "repeats": runs}


def write_load(name: str, *, begun: str, rate: float) -> None:
    params = {
        "benchmark": "load", "repeats": 3, "closed_seconds": 1.0, "open_seconds": 1.0, "warm_up_seconds": 1.0,
        "arrivals": "poisson", "deadline_s": 5.0,
    }  # fmt: skip
    results = [
        case(rate, workload="text", loop="closed", clients=1),
        case(2 * rate, workload="text", loop="closed", clients=16),
        case(rate, workload="text", loop="open", rate=rate),
    ]
    environment = {"commit": f"c-{name}", "cpu": "A processor", "cores": 2, "begun": begun}
    document = {"environment": environment, "params": params, "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(document))


def write_encoders() -> None:
    text = {"held_out": {"R@1": 61.25, "R@10": 93.5, "queries": 1200}, "seen": {"R@1": 70.0, "queries": 5}}
    figures = {"text": text}
    environment = {"commit": "c-e", "processor": "A processor", "cores": 2}
    document = {"environment": environment, "params": {"seed": 0}, "results": figures}
    (RESULTS / "encoders-small.json").write_text(json.dumps(document))


def write_designs() -> None:
    figures = {
        "mean": {"R@1": [41.5, 40.0, 43.0], "R@10": [90.0, 90.0, 90.0]},
        "one_change_ood": {"R@1": [39.25, 38, 40]},
    }
    results = {
        "designs": {
            "image_only": {"runs": 1, "validation": figures, "test": figures},
            "ours": {"runs": 3, "parameters": 1_049_985, "validation": figures, "test": figures},
        },
        "confusions": {"served": {"accent": 61.25, "material": 20.0}, "oracle_caption": {"material": 80.0}},
        "read": {"category": 99.5, "material": 50.25, "accent": 90.0, "every slot": 31.25},
    }
    params = {
        "benchmark": "designs",
        "seeds": [1, 2, 3],
        "budget": {"steps": 500, "clusters": 64},
        "sets": {"test": {"gallery": 21531, "questions": {"one_change": 1800, "relative": 510}}},
    }
    environment = {"commit": "c-d", "processor": "A processor", "cores": 2}
    document = {"environment": environment, "params": params, "results": results}
    (RESULTS / "designs.json").write_text(json.dumps(document))


def write_css() -> None:
    figures = {
        "make": {"R@1": [30.5, 30, 31]},
        "mean": {"R@1": [41.5, 40.0, 43.0], "R@10": [90.0, 90.0, 90.0]},
    }
    params = {
        "benchmark": "css", "seeds": [1, 2], "tower_steps": 600, "steps": 400, "queries": 256,
        "sets": {"test": {"queries": 3000, "scenes": 3955}},
    }  # fmt: skip
    results = {
        "designs": {"ours": {"runs": 2, "test": figures}},
        "oracle_description": {"R@1": 91.25, "R@10": 100.0},
    }
    environment = {"commit": "c-s", "processor": "A processor", "cores": 2}
    document = {"environment": environment, "params": params, "results": results}
    (RESULTS / "css.json").write_text(json.dumps(document))


def write_precisions() -> None:
    recalls = {"text": {"R@1": 90.0, "R@10": 99.5, "R@50": 100.0}}
    parity = {"minimum_cosine": 0.9976, "mean_cosine": 0.99975, "batch_cosine": 1.0}
    case = {"encoder": "text_encoder", "runner": "ONNX Runtime int8", "batch": 1, "runs": 40}
    results = {
        "recall": {
            "torch": {"recall": recalls},
            "int8": {"recall": recalls, "lost": {"text": {"R@1": 0.25, "R@10": -0.1}}},
        },
        "encoders": {"text_encoder": {"int8": {"megabytes": 1.5, **parity}}},
        "timing": [{**case, "median_ms": 0.5, "best_ms": 0.4, "rows_per_cpu_s": 2000.0}],
        "choice": {
            "precisions": {"text_encoder": "int8"},
            "faster": {"text_encoder": 1.5},
            "lost": {"text": {"R@1": 0.25, "R@10": -0.1}},
        },
    }
    environment = {"commit": "c-p", "processor": "A processor", "cores": 2}
    document = {"environment": environment, "params": {"parity_rows": 128}, "results": results}
    (RESULTS / "precisions-small.json").write_text(json.dumps(document))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project whose document has its markers."""
    monkeypatch.chdir(tmp_path)
    RESULTS.mkdir(parents=True)
    DOCUMENT.parent.mkdir()
    DOCUMENT.write_text(MARKERS)


def report(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["report", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_document_says_what_the_results_say() -> None:
    """The newest load result is shown in full, earlier ones by their ceilings, encoders by their figures."""
    write_load("2026-01-01-load", begun="2026-01-01T10:00:00+00:00", rate=40)
    write_load("2026-01-02-load", begun="2026-01-02T10:00:00+00:00", rate=50)
    write_load(
        "cpu-baseline", begun="2026-01-03T10:00:00+00:00", rate=60
    )  # what CI compares with is no figure of a user's
    write_encoders()
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "| text | 1 | 51 (50-52) | 10 (10-10) | 10 (10-10) | 10 (10-10) | 153 | 3 | 0 |" in text
    assert re.search(r"\| text \| 16 \| \S+ \|( \S+ \|){2} ", text)
    assert "c-2026-01-02-load" in text
    assert (
        "| [2026-01-01-load.json](../benchmarks/results/2026-01-01-load.json) | c-2026-01-01-load | text 81 |"
        in text
    )
    assert "| held out | 61.2 | 93.5 | 1200 |" in text
    assert "| seen | 70 | - | 5 |" in text
    assert "![Throughput by clients, and CPU by process](pictures/throughput.png)" in text
    assert "![Latency by offered rate](pictures/latency.png)" in text
    assert THROUGHPUT_PLOT.exists() and Path("docs/pictures/latency.png").exists()  # noqa: PT018 - the two are drawn together
    assert text.startswith("# Title\n")
    assert "\nprose\n" in text


def test_precisions_are_shown_with_what_they_lose() -> None:
    """Points lost beside the recall, cosines beside the size, and latency beside the throughput."""
    write_precisions()
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "| torch | text | 90.00 | 99.50 | - | - |" in text
    assert "| int8 | text | 90.00 | 99.50 | 0.25 | -0.10 |" in text
    assert "| text encoder | int8 | 1.50 | 0.997600 | 0.999750 | 1.000000 |" in text
    assert "| text encoder | int8 | 1.50 |" in text
    assert "in points of R@1 and R@10: text 0.25 and -0.10." in text
    assert "| text encoder | ONNX Runtime int8 | 0.5 ms (best 0.4), 2000/s |" in text


def test_precisions_on_photographs_are_shown_with_what_does_not_pass() -> None:
    """A row a precision: what it finds, what it loses, and the CPU of a whole batch."""
    case = {"batch": 8, "runs": 40, "median_ms": 110.0, "best_ms": 100.0, "rows_per_cpu_s": 80.0}
    figures = {"megabytes": 21.0, "cosine_mean": 0.99, "timing": [case], "faster": 1.25}
    recall = {"R@1": 40.0, "R@10": 80.0, "R@50": 95.0}
    lost = {"R@1": 1.5, "R@10": 3.6}
    document = {
        "environment": {"commit": "c-pp", "processor": "A processor", "cores": 2},
        "params": {
            "family": "vitrine-pair",
            "encoder": "image_encoder",
            "data": {"shop": "0123"},
            "split": "val",
            "photographs": 647,
            "calibrated_on": 256,
        },
        "results": {
            "precisions": {"int8": {**figures, "recall": recall, "lost": lost, "passes": False}},
            "served": "fp32",
        },
    }
    (RESULTS / "photograph-precisions-pair.json").write_text(json.dumps(document))
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "the image encoder; shop: 647 photographs of the split val" in text
    assert "The fastest that passes is fp32." in text
    assert "| int8 | 40.0 | 80.0 | 1.5 | 3.6 | no | 0.9900 | 21.0 | 100.0 | 1.25 |" in text


def test_what_tuning_was_worth_is_shown() -> None:
    """What the heads alone found stands above what they found with the tuned blocks."""
    training = {"heads_steps": 1_350, "heads_rows": 512, "tuning_steps": 60, "tuning_rows": 128}
    document = {
        "environment": {"commit": "c-t", "processor": "A processor", "cores": 2},
        "params": {"data": [{"name": "shop"}], "training": training | {"photographs": 5_996, "seed": 7}},
        "results": {"heads": {"R@1": 40.0, "R@10": 80.0}, "tuned": {"R@1": 42.5, "R@10": 82.0}},
    }
    (RESULTS / "tuning-pair.json").write_text(json.dumps(document))
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "trained on 5,996 photographs (shop), seed 7." in text
    assert "| the heads, 1,350 steps of 512 pictures | 40.0 | 80.0 |" in text
    assert "| and the last blocks, 60 steps of 128 pictures | 42.5 | 82.0 |" in text


def test_designs_are_shown_with_the_spread_of_their_runs() -> None:
    """A row a design: parameters, runs, recalls with their range where runs differ, and R@1 by kind."""
    write_designs()
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "2,310 questions to a gallery of 21,531 pictures." in text
    assert "500 steps of 256 products" in text
    assert "| ours | 1.05 | 3 | 41.5 (40-43) | 90 | 41.5 (40-43) |" in text
    assert "| image only | - | 1 |" in text
    assert "| ours | 39.2 |" in text
    assert "| first answers of | material | accent |" in text
    assert "| served | 20 | 61.2 |" in text
    assert "| oracle caption | 80 | 0 |" in text
    assert "| read from the embedding | 50.2 | 90 |" in text
    assert DESIGNS_PLOT.exists()
    assert report("--check").exit_code == 0
    write_designs()
    DESIGNS_PLOT.unlink()
    assert report("--check").exit_code == 1


def test_scenes_of_shapes_are_shown_by_kind_of_change() -> None:
    """A row a design with the range of its runs, its R@1 by kind, and the description itself as a query."""
    write_css()
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "3,000 queries to 3,955 scenes; towers of 600 steps; 400 steps of 256 queries a design" in text
    assert "| ours | 2 | 41.5 (40-43) | 90 | 30.5 |" in text
    assert "| oracle description | 1 | 91.2 | 100 | - |" in text


def test_ways_to_index_several_pictures_are_shown_by_kind_of_product() -> None:
    """A table a kind of product with a row a way, under the number of products."""
    ways = {"products": {"count": 1200}, "mean of the pictures": {"R@1": 89.0, "R@10": 100.0}}
    document = {"environment": {"cores": 2}, "params": {}, "results": {"one thing": ways}}
    (RESULTS / "several-pictures.json").write_text(json.dumps(document))
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "### One thing: 1,200 products" in text
    assert "| mean of the pictures | 89.0 | 100.0 |" in text


def write_photographs(family: str, *, figure: float) -> None:
    titles = {
        "chance": {"R@1": [0.5, 0.1], "queries": 40},
        "encoders": {"R@1": [figure, 2.25, 1.5, 40.0], "R@10": [80.0, None], "queries": 40},
    }
    results = {
        "title to picture": {"asked": "40 titles.", "ways": titles},
        "groceries": {"asked": "Left out: none.", "ways": {}},
    }
    params = {
        "family": family,
        "run_by": "torch",
        "weights_digests": ["abc", "def"],
        "photographs": {"shop": 1041},
    }
    document = {"environment": {"cores": 2}, "params": params, "results": results}
    (RESULTS / f"photographs-{family}.json").write_text(json.dumps(document))


def test_fields_are_shown_with_what_was_said_and_what_came_true() -> None:
    """A row a way, the chosen one in bold; a field that was left alone says why; then what the category is worth."""
    ways = {
        "words": {
            "all right": 12.0,
            "said precision": 0.0,
            "said coverage": 0.0,
            "precision": None,
            "coverage": 0.0,
        },
        "products": {
            "all right": 60.0,
            "said precision": 91.0,
            "said coverage": 40.0,
            "precision": 89.5,
            "coverage": 41.0,
        },
    }
    results = {
        "products": {"known": 1200, "asked": 100},
        "unfamiliar": 0.5,
        "fields": {
            "wood": {"values": 3, "labelled": 1100, "chosen": "products", "ways": ways},
            "shop": {"values": 1, "labelled": 1200, "left": "all have the same one"},
        },
        "category": {"no condition": {"queries": 600, "same category": 33.4, "both": 19.1}},
    }
    params = {"family": "small", "weights_digests": ["abc"], "photographs": {"crates": 1300}}
    document = {
        "environment": {"processor": "p", "cores": 2, "commit": "c"},
        "params": params,
        "results": results,
    }
    lines = fields_section({"fields-small-crates.json": document})
    assert (
        "Family small, weights abc; crates: 1,200 products whose values are known, 100 to be read, of which 0.5 % are taken for"
        " pictures unlike the catalogue's."
    ) in lines
    assert "| wood | 3 | 1,100 | words | 12.0 | none read | none read |" in lines
    assert "| wood | 3 | 1,100 | **products** | 60.0 | 91.0, 40.0 | 89.5, 41.0 |" in lines
    assert "| shop | 1 | 1,200 | left alone: all have the same one |  |  |  |" in lines
    assert "| no condition | 33.4 | 19.1 |" in lines


def test_real_photographs_are_shown_by_question_with_every_family() -> None:
    """Families stand beside each other with standard errors; what needs no encoders stands once."""
    write_photographs("pair", figure=36.5)
    write_photographs("small", figure=1.8)
    assert report().exit_code == 0
    text = DOCUMENT.read_text()
    assert "Family pair, run by torch; weights abc, def; photographs: shop 1,041." in text
    assert text.count("### Title to picture\n\n40 titles.\n\n| family | by | R@1 | R@10 |") == 1
    assert (
        "| - | chance | 0.5 ± 0.1 | - |\n| pair | encoders | 36.5 ± 2.2 (1.5-40.0) | 80.0 |\n| small | encoders | 1.8 ± 2.2 (1.5-40.0) |"
        in text
    )
    assert "### Groceries\n\nLeft out: none.\n" in text


def test_without_results_it_says_so() -> None:
    """A project that has measured nothing claims nothing."""
    report()
    assert DOCUMENT.read_text().count("No result yet.") == len(SECTIONS)
    assert not THROUGHPUT_PLOT.exists()


def test_what_is_written_is_found_unchanged() -> None:
    """The check passes after a report, and a second report writes the same bytes."""
    write_load("2026-01-02-load", begun="2026-01-02T10:00:00+00:00", rate=50)
    report()
    written = DOCUMENT.read_bytes(), THROUGHPUT_PLOT.read_bytes()
    assert report("--check").exit_code == 0
    THROUGHPUT_PLOT.unlink()
    report()
    assert (DOCUMENT.read_bytes(), THROUGHPUT_PLOT.read_bytes()) == written


@pytest.mark.parametrize("change", ["document", "result", "picture"])
def test_the_check_fails_when_anything_differs(change: str) -> None:
    """An edited figure, a newer result or a missing picture is told, and nothing is written."""
    write_load("2026-01-02-load", begun="2026-01-02T10:00:00+00:00", rate=50)
    report()
    if change == "document":
        DOCUMENT.write_text(DOCUMENT.read_text().replace("51 (50-52)", "99 (50-52)"))
    elif change == "result":
        write_load("2026-01-03-load", begun="2026-01-03T10:00:00+00:00", rate=60)
    else:
        THROUGHPUT_PLOT.unlink()
    before = DOCUMENT.read_text()
    result = report("--check")
    assert result.exit_code == 1
    assert "run `python -m benchmarks report`" in result.stderr
    assert DOCUMENT.read_text() == before


def test_a_missing_marker_is_an_error() -> None:
    """A section that has lost its place is told, not dropped."""
    with pytest.raises(ReportError, match="begin: load"):
        fill("no markers", {"load": ["x"]})


def test_a_result_of_another_shape_is_an_error() -> None:
    """A result file that lacks its environment is refused by name."""
    (RESULTS / "odd.json").write_text('{"results": []}')
    result = report()
    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: benchmarks/results/odd.json: a result holds environment, params and results\n"
    )
