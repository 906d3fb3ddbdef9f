"""Keep the catalog of the admin's translations in step with the code: `scripts/translations`, and `--check` in lint.

What is marked in code and templates, what models are called, and what unfold says that Django has no words for, is
collected into locale/es/LC_MESSAGES/django.po, and compiled to django.mo beside it. gettext's programs are not needed.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("es",)
# The simulator has no translations, and what is texted to people has a mechanism of its own.
FOLDERS = ("audit", "operators", "platforms", "chats", "messaging", "desk", "proxy_project")
_MARKS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2}
_STRING = r"""u?((?:'(?:\\.|[^'\\])*')|(?:"(?:\\.|[^"\\])*"))"""
_TEMPLATE_MARK = re.compile(rf"\b(_|gettext|ngettext)\(\s*{_STRING}(?:\s*,\s*{_STRING})?")


@dataclass(frozen=True, kw_only=True, order=True)
class Text:
    """What is to be translated, and the file that says it."""

    where: str
    singular: str
    plural: str = ""


def main() -> int:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proxy_project.settings")
    django.setup()
    checks = "--check" in sys.argv[1:]
    problems = []
    for language in LANGUAGES:
        path = ROOT / "locale" / language / "LC_MESSAGES" / "django.po"
        catalog = update(path)
        if not checks:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(catalog) + "\n", encoding="utf-8")
            path.with_suffix(".mo").write_bytes(catalog.to_binary())
        problems += find_problems(path, catalog)
    print("\n".join(problems) or "All texts of the admin are translated.")
    return 1 if problems else 0


def find_problems(path: Path, wanted: polib.POFile) -> list[str]:
    """Return what is wrong with the catalog as it stands, when `wanted` is what it should hold."""
    name = path.relative_to(ROOT)
    problems = [f"{name}: not translated: {each.msgid!r}" for each in wanted.untranslated_entries()]
    problems += [f"{name}: fuzzy: {each.msgid!r}" for each in wanted.fuzzy_entries()]
    for entry in wanted.translated_entries():
        # Of a plural, the singular may leave the number out.
        needed = _placeholders(entry.msgid_plural or entry.msgid)
        for text in [entry.msgstr, *entry.msgstr_plural.values()]:
            if text and (_placeholders(text) - needed or (not entry.msgid_plural and _placeholders(text) != needed)):
                problems.append(f"{name}: other placeholders: {entry.msgid!r}")
    if not path.exists() or path.read_text(encoding="utf-8") != f"{wanted}\n":
        problems.append(f"{name} does not follow the code: run scripts/translations")
    compiled = path.with_suffix(".mo")
    if not compiled.exists() or compiled.read_bytes() != wanted.to_binary():
        problems.append(f"{compiled.relative_to(ROOT)} is not what {name} says: run scripts/translations")
    return problems


def update(path: Path) -> polib.POFile:
    """Return the catalog with what the code says now, and the translations it has."""
    old = polib.pofile(str(path), wrapwidth=110) if path.exists() else polib.POFile()
    known = {entry.msgid: entry for entry in old if not entry.obsolete}
    catalog = polib.POFile(wrapwidth=110)
    catalog.metadata = {
        "Project-Id-Version": "masked-texting",
        "Language": path.parent.parent.name,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=2; plural=(n != 1);",
    }
    found: dict[str, list[Text]] = {}
    for text in collect():
        found.setdefault(text.singular, []).append(text)
    for msgid, texts in sorted(found.items(), key=lambda each: (each[1][0].where, each[0])):
        plural = next((each.plural for each in texts if each.plural), "")
        stands = known.get(msgid)
        entry = polib.POEntry(
            msgid=msgid,
            msgid_plural=plural,
            occurrences=[(where, "") for where in sorted({each.where for each in texts})],
            flags=[*(stands.flags if stands else [])],
        )
        if plural:
            entry.msgstr_plural = dict(stands.msgstr_plural) if stands and stands.msgstr_plural else {0: "", 1: ""}
        else:
            entry.msgstr = stands.msgstr if stands else ""
        catalog.append(entry)
    return catalog


def collect() -> Iterator[Text]:
    """Yield all that operators are to read in their language."""
    from operators.translation import list_names

    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            yield from _read(path, where=str(path.relative_to(ROOT)))
    yield from (Text(where="(names of models)", singular=name) for name in sorted(set(list_names())) if name)
    yield from _collect_unfold()


def _collect_unfold() -> Iterator[Text]:
    """Yield what unfold says and Django does not translate."""
    import unfold

    assert unfold.__file__
    home = Path(unfold.__file__).parent
    translated = _translated_by_django()
    for path in sorted(home.rglob("*")):
        if "contrib" in path.relative_to(home).parts:
            continue
        for text in _read(path, where="(unfold)"):
            if text.singular not in translated:
                yield text


def _translated_by_django() -> set[str]:
    import django

    home = Path(django.__file__).parent
    found: set[str] = set()
    for path in (
        home / "conf/locale",
        *(home / "contrib" / app / "locale" for app in ("admin", "auth", "contenttypes")),
    ):
        found |= {each.msgid for each in polib.pofile(str(path / "es/LC_MESSAGES/django.po")).translated_entries()}
    return found


def _read(path: Path, *, where: str) -> Iterator[Text]:
    if path.suffix == ".py" and "migrations" not in path.parts:
        yield from _read_code(path.read_text(encoding="utf-8"), where=where)
    elif path.suffix == ".html":
        yield from _read_template(path.read_text(encoding="utf-8"), where=where)


def _read_code(source: str, *, where: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        texts = [each.value for each in node.args[: _MARKS.get(name, 0)] if isinstance(each, ast.Constant)]
        if texts and all(isinstance(text, str) and text for text in texts):
            yield Text(where=where, singular=str(texts[0]), plural=str(texts[1]) if len(texts) > 1 else "")


def _read_template(source: str, *, where: str) -> Iterator[Text]:
    from django.utils.translation.template import templatize

    for mark, singular, plural in _TEMPLATE_MARK.findall(templatize(source)):
        yield Text(
            where=where,
            singular=ast.literal_eval(singular),
            plural=ast.literal_eval(plural) if plural and mark == "ngettext" else "",
        )


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[sd]|\{\w*\}", text))


if __name__ == "__main__":
    sys.exit(main())
