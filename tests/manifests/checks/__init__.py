"""What no schema sees: whether the objects fit together. A check takes manifests and tells what is wrong with them,
a sentence each; `ALL` is all of them. For each there is a negative control in `test_negative_controls.py`."""

from . import exposure, pods, rights, scaling, traffic, wiring

ALL = [
    check
    for module in (wiring, pods, traffic, scaling, exposure, rights)
    for name, check in vars(module).items()
    if getattr(check, "__module__", None) == module.__name__ and name.startswith("every_")
]
