"""Fluentd's configuration, as far as ours uses it: sections, their tags, and lines of `key value`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass
class Section:
    name: str
    pattern: str = ""
    values: dict[str, str] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def only(self, name: str) -> Section:
        (found,) = [one for one in self.sections if one.name == name]
        return found


def read(text: str) -> Section:
    """The whole file as one section. ValueError for a line that belongs nowhere, or a section that is not closed."""
    root = Section("file")
    open_sections = [root]
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if opened := re.fullmatch(r"<(\w+)(?: ([^>]*))?>", line):
            section = Section(opened[1], opened[2] or "")
            open_sections[-1].sections.append(section)
            open_sections.append(section)
        elif closed := re.fullmatch(r"</(\w+)>", line):
            if open_sections.pop().name != closed[1] or not open_sections:
                raise ValueError(f"line {number}: </{closed[1]}> closes nothing")
        else:
            key, _, value = line.partition(" ")
            open_sections[-1].values[key] = value.strip().strip('"')
    if open_sections != [root]:
        raise ValueError(f"<{open_sections[-1].name}> is not closed")
    return root
