"""`loads`: Python's reader of TOML where there is one (3.11), and the same by its older name where not."""

try:
    from tomllib import loads
except ModuleNotFoundError:
    from tomli import loads

__all__ = ["loads"]
