"""The licence texts of everything inside the image's binary, as one file: each text once, with the crates that it is for.

Most crates carry the same Apache text and an MIT text that differs in one line; written out per crate they would be
2 MB. A crate that carries none takes that of a crate of the same repository; if there is none either, that is an error.
"""

from __future__ import annotations

from sbom_crates import Crate, SbomError

RULE = "=" * 100


def texts(crates: list[Crate]) -> str:
    """The whole file. Our own crates are left out: their licence lies beside it."""
    users: dict[str, list[str]] = {}
    written: dict[str, str] = {}
    others = [crate for crate in crates if not crate.is_ours]
    for crate in others:
        for text in of(crate, others):
            like = " ".join(text.split())
            written.setdefault(like, text.strip())
            users.setdefault(like, []).append(f"{crate.name} {crate.version} ({crate.licence})")
    sections = sorted((list(dict.fromkeys(names)), written[like]) for like, names in users.items())
    head = "Tidegate's binary contains the following crates. Each text stands once, below the crates that it comes with.\n"
    return head + "".join(f"\n{RULE}\n{chr(10).join(names)}\n{RULE}\n\n{text}\n" for names, text in sections)


def of(crate: Crate, crates: list[Crate]) -> list[str]:
    files = crate.licence_files()
    if not files and crate.repository:
        siblings = (other for other in crates if other.repository == crate.repository and other.licence == crate.licence)
        files = next((found for other in siblings if (found := other.licence_files())), [])
    if not files:
        raise SbomError(f"{crate.name} {crate.version} carries no licence text, and no crate of {crate.repository} does")
    return [path.read_text(errors="replace") for path in files]
