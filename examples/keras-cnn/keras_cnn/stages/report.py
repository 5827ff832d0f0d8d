"""One table of all variants: accuracy, size, time of a run at three batch sizes, and the largest difference to Keras.

Times are of one thread. The variants take turns, so that whatever else the machine does meets all of them; a figure
is the median of all runs. Read them as ratios: they are as good as the machine was quiet.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cnn import conversion, images, runners
from keras_cnn.runners import Runner
from keras_cnn.variants import VARIANTS, Variant

if TYPE_CHECKING:
    from keras_cnn.settings import Settings

BATCHES = (1, 8, 32)
WARM_UP = 2
# Of one variant's turn: at least so many runs, and at least so long.
TURN_RUNS = 2
TURN_S = 0.1
PACKAGES = ("tensorflow-cpu", "keras", "onnxruntime", "ai-edge-litert")


@dataclass(frozen=True)
class Row:
    variant: str
    about: str
    accuracy: float
    agreement: float
    largest_difference: float
    bytes: int
    # Milliseconds, by batch size.
    latency_ms: dict[int, float]


def make(into: Path, made: dict[str, Path], settings: Settings) -> None:
    runners.one_thread()
    opened = {variant: runners.open_runner(made[variant.stage] / variant.file) for variant in VARIANTS}
    test = images.read(made["data"], "test").images
    times = {rows: measured(opened, images.enlarge(test[:rows], settings.size), settings.rounds) for rows in BATCHES}
    table = [row(variant, made, {rows: times[rows][variant] for rows in BATCHES}) for variant in VARIANTS]
    context = {
        "image": f"{settings.size}x{settings.size}x{images.CHANNELS}",
        "test_images": len(test),
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "packages": {package: metadata.version(package) for package in PACKAGES},
    }
    (into / "table.json").write_text(json.dumps({**context, "rows": [asdict(each) for each in table]}, indent=1) + "\n")
    text = markdown(table)
    (into / "table.md").write_text(f"{text}\n{footnote(context)}\n")
    print(f"\n{text}\n{footnote(context)}\n", flush=True)


def measured(opened: dict[Variant, Runner], enlarged, rounds: int) -> dict[Variant, float]:
    """Each variant's median time of a run, in milliseconds."""
    prepared = {variant: runner.prepare(enlarged) for variant, runner in opened.items()}
    for variant, runner in opened.items():
        for _ in range(WARM_UP):
            runner.run(prepared[variant])
    times: dict[Variant, list[float]] = {variant: [] for variant in opened}
    for _ in range(rounds):
        for variant, runner in opened.items():
            times[variant] += turn(runner, prepared[variant])
    return {variant: statistics.median(each) * 1000 for variant, each in times.items()}


def turn(runner: Runner, prepared) -> list[float]:
    times: list[float] = []
    while len(times) < TURN_RUNS or sum(times) < TURN_S:
        start = time.perf_counter()
        runner.run(prepared)
        times.append(time.perf_counter() - start)
    return times


def row(variant: Variant, made: dict[str, Path], latency_ms: dict[int, float]) -> Row:
    folder = made[variant.stage]
    checked = json.loads((folder / conversion.CHECKED).read_text())[variant.name]
    return Row(
        variant=variant.name,
        about=variant.about,
        accuracy=checked["accuracy"],
        agreement=checked["agreement"],
        largest_difference=checked["largest_difference"],
        bytes=size(folder / variant.file),
        latency_ms=latency_ms,
    )


def size(path: Path) -> int:
    """Of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())


def markdown(table: list[Row]) -> str:
    titles = ["variant", "what it is", "accuracy", "same class as Keras", "largest difference", "size"]
    titles += [f"batch {rows}, ms" for rows in BATCHES]
    lines = [titles, ["---"] * len(titles)]
    for each in table:
        cells = [each.variant, each.about, f"{each.accuracy:.1%}", f"{each.agreement:.1%}"]
        cells += [f"{each.largest_difference:.1e}", human(each.bytes)]
        lines.append(cells + [f"{each.latency_ms[rows]:.3g}" for rows in BATCHES])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def human(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} KB"


def footnote(context: dict) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in context["packages"].items())
    images_ = f"{context['test_images']} test images of {context['image']}"
    return f"\n{images_}. One thread, medians; {context['machine']}; {packages}."


def processor() -> str:
    """The processor's name where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
