#!/usr/bin/env python3
"""Sends real predictions to a running gateway and compares the answers with the expected ones.

    python3 scripts/smoke_test.py --data http://localhost:8501 --model digits --samples examples/digits/samples

A folder of samples holds requests and `expected.json`, the integers that each has to be answered with. A request's name
says its protocol: `*.v2.json` (Open Inference Protocol), `*.tf.json` (TensorFlow Serving), any other `*.json` `/predict`, which has
no model in its path and is left out unless the model is the default one. With --version every request names that version,
and `/predict`, which cannot, is left out too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway_client import Gateway, GatewayError, api_key


@dataclass(frozen=True)
class Question:
    """One request, where it goes, and the integers of the right answer."""

    name: str
    path: str
    body: bytes
    expected: list[int]


def questions(samples: Path, model: str, version: str | None = None, is_default: bool = True) -> list[Question]:
    expected = json.loads((samples / "expected.json").read_text())
    asked = ((name, path_of(name, model, version), right) for name, right in sorted(expected.items()))
    return [
        Question(name, path, (samples / name).read_bytes(), right)
        for name, path, right in asked
        if path != "/predict" or (is_default and version is None)
    ]


def path_of(name: str, model: str, version: str | None) -> str:
    of_version = f"/versions/{version}" if version else ""
    if name.endswith(".v2.json"):
        return f"/v2/models/{model}{of_version}/infer"
    if name.endswith(".tf.json"):
        return f"/v1/models/{model}{of_version}:predict"
    return "/predict"


def integers_in(answer: dict) -> list[int]:
    """What an answer says, whichever of the three formats it is in: the class, or the one output of integers."""
    if "class" in answer:
        return answer["class"] if isinstance(answer["class"], list) else [answer["class"]]
    if "outputs" in answer:
        return next((output["data"] for output in answer["outputs"] if output["datatype"].startswith(("INT", "UINT"))), [])
    rows = answer.get("predictions", [])
    return [value for row in rows for value in (row.values() if isinstance(row, dict) else [row]) if isinstance(value, int)]


def wrong_answers(gateway: Gateway, asked: list[Question]) -> list[str]:
    """A sentence for each question that was not answered rightly."""
    problems = []
    for question in asked:
        try:
            said = integers_in(gateway.ask_json(question.path, question.body))
        except GatewayError as error:
            problems.append(f"{question.name}: {error}")
            continue
        if said != question.expected:
            problems.append(f"{question.name}: expected {question.expected}, got {said} from {question.path}")
    return problems


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compares a gateway's answers with the expected ones.")
    parser.add_argument("--data", required=True, metavar="URL", help="the data port")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", help="ask this version and no other")
    parser.add_argument("--samples", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--not-default", action="store_true", help="the model does not answer /predict")
    parser.add_argument("--api-key-file", default=os.environ.get("TIDEGATE_API_KEY_FILE"), metavar="FILE")
    options = parser.parse_args(arguments)
    asked = questions(options.samples, options.model, options.version, not options.not_default)
    if not asked:
        print(f"error: {options.samples} holds no request that can be sent to {options.model}", file=sys.stderr)
        return 1
    try:
        problems = wrong_answers(Gateway(options.data, api_key(options.api_key_file)), asked)
    except GatewayError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if not problems:
        print(f"{len(asked)} of {len(asked)} answers are right")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
