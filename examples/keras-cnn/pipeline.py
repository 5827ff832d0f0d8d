"""From a Keras model to a model repository: `pipeline.py run`, or one stage alone by its name.

Install requirements.txt into a virtual environment first (`make pipeline` at the repository's root does both).
Exit status 0: done. 1: a stage stopped, and said why. 2: asked wrongly.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# Each is read once, when its framework is imported: no upload of usage figures, no graphics card, fewer messages.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

from keras_cnn import road, settings
from keras_cnn.stage import StageError


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    shop = road.workshop(options.work.absolute(), settings.from_flags(options))
    try:
        if options.stage == "run":
            road.run_all(shop)
        else:
            road.run_one(shop, road.BY_NAME[options.stage])
    except StageError as error:
        print(f"pipeline: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {stage.name:16}{stage.about}" for stage in road.STAGES)
    made = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"stages, in order:\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("stage", choices=["run", *road.BY_NAME], metavar="STAGE", help="`run` for all that are due")
    made.add_argument("--work", type=Path, default=settings.EXAMPLE / "work", help="where stages keep what they make")
    settings.add_flags(made)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
