"""A file for each stage, each with `make(into, made, settings)`: files of earlier stages in, files of this one out.

Frameworks are heavy to import, so only the stage that is due is.
"""
