"""The admin in Spanish: everything of ours is translated, and no page shows an English string of ours."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib
import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from audit.models import Action
from chats.models import Chat, VirtualNumber
from messaging.models import Message
from operators.models import Preferences
from platforms.models import ApiKey, ApprovalHook, Event, Platform, WebhookEndpoint
from scripts import translations
from tests.admin.pages import CHATS, KEYS, end_all, page_of
from tests.admin.population import populate

LOCALE = Path(settings.BASE_DIR) / "locale"
CATALOGS = [LOCALE / language / "LC_MESSAGES/django.po" for language in translations.LANGUAGES]


@pytest.fixture
def olga(operator: Client) -> Client:
    """An operator who has chosen Spanish."""
    Preferences.objects.create(user=User.objects.get(), time_zone="Europe/Madrid", language="es")
    return operator


@pytest.mark.parametrize("path", CATALOGS, ids=str)
def test_everything_is_translated_and_compiled(path: Path) -> None:
    assert translations.find_problems(path, translations.update(path)) == []


def test_problems_of_a_catalog_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translations, "ROOT", tmp_path)
    monkeypatch.setattr(translations, "collect", lambda: iter(TEXTS))
    path = tmp_path / "locale/es/LC_MESSAGES/django.po"
    path.parent.mkdir(parents=True)
    catalog = translations.update(path)
    assert len([each for each in translations.find_problems(path, catalog) if "not translated" in each]) == 3
    by_id = {entry.msgid: entry for entry in catalog}
    by_id["Chats"].msgstr = "Chats"
    by_id["Ended %(number)s chat."].msgstr_plural = {0: "Uno terminado.", 1: "%(numero)s terminados."}
    by_id["since"].msgstr = "desde"
    by_id["since"].flags = ["fuzzy"]
    path.write_text(f"{catalog}\n")
    path.with_suffix(".mo").write_bytes(b"old")
    problems = translations.find_problems(path, translations.update(path))
    assert problems[0].endswith("fuzzy: 'since'")
    assert problems[1].endswith("other placeholders: 'Ended %(number)s chat.'")
    assert "django.mo is not what" in problems[2]
    # What nobody says any more is dropped.
    monkeypatch.setattr(translations, "collect", lambda: iter(TEXTS[:1]))
    assert [entry.msgid for entry in translations.update(path)] == ["Chats"]


TEXTS = [
    translations.Text(where="a.py", singular="Chats"),
    translations.Text(where="a.py", singular="Ended %(number)s chat.", plural="Ended %(number)s chats."),
    translations.Text(where="b.html", singular="since"),
]


def test_what_is_marked_in_code_and_templates_is_found() -> None:
    code = 'x = _("one" " and two"); y = ngettext("%(n)s chat", "%(n)s chats", 3); z = gettext(some); w = other("no")'
    assert [(text.singular, text.plural) for text in translations._read_code(code, where="")] == [
        ("one and two", ""),
        ("%(n)s chat", "%(n)s chats"),
    ]
    template = """{% translate "Don't" %}{% blocktranslate with a=b %}All {{ a }}{% endblocktranslate %}
        {% blocktranslate count n=c %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}
        <p title="{% translate 'Look' %}">"""
    assert [(text.singular, text.plural) for text in translations._read_template(template, where="")] == [
        ("Don't", ""),
        ("All %(a)s", ""),
        ("%(n)s row", "%(n)s rows"),
        ("Look", ""),
    ]


@pytest.mark.django_db
def test_names_of_models_are_translated_and_migrations_do_not_notice() -> None:
    with override("es"):
        assert str(Platform._meta.verbose_name_plural) == "plataformas"
        assert str(Platform._meta.get_field("cool_down_hours").verbose_name) == "descanso (horas)"
        assert Chat(status="ended").get_status_display() == "Terminado"
        assert VirtualNumber(state="retired").get_state_display() == "retirado"
        assert dict(Action.choices)["read_chat"] == "read a chat"
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    assert str(Platform._meta.verbose_name_plural) == "platforms"
    assert Chat(status="ended").get_status_display() == "Ended"


def english_texts() -> Iterator[str]:
    """Yield every string of ours whose translation differs from it, and which is nobody's name, nor a group's."""
    for entry in polib.pofile(str(CATALOGS[0])):
        texts = [(entry.msgid, entry.msgstr or entry.msgstr_plural.get(0, ""))]
        if entry.msgid_plural:
            texts.append((entry.msgid_plural, entry.msgstr_plural[1]))
        for english, spanish in texts:
            if english.strip() != spanish.strip() and len(words_in(english)) > 3 and english != "Operator":
                yield english


def words_in(text: str) -> str:
    """Return what of a text is not filled in: with little of it, it would be found everywhere."""
    return re.sub(r"%\(\w+\)s|\{\w*\}|[\W_]", "", text)


def pattern_of(text: str) -> re.Pattern[str]:
    """Match a text as one of its own between tags or in an attribute, with anything in its placeholders."""
    parts = re.split(r"%\(\w+\)s|\{\w*\}", " ".join(html.escape(text, quote=False).split()))
    words = "[^<>]{0,200}".join(re.escape(part) for part in parts)
    first = words[:1]
    return re.compile(rf'[>"]\s*(?:{words}|{first.upper()}{words[1:]})[.:?]?\s*[<"]')


def shown(response: Any) -> str:
    """Return a page without scripts, what it sends to them, and values of fields."""
    source = re.sub(r"<script.*?</script>", " ", response.content.decode(), flags=re.DOTALL)
    # An icon is written as its name.
    source = re.sub(r'<span class="[^"]*material-symbols[^"]*"[^>]*>[^<]*</span>', " ", source)
    source = re.sub(
        r'\b(?:x-[\w:.-]+|value|name|id|for|class|href|data-[\w-]+|action|type|role|inputmode)="[^"]*"', " ", source
    )
    return " ".join(source.split())


def open_all(client: Client) -> Iterator[tuple[str, Any]]:
    for name in ("admin:index", "preferences", "second_factor", "admin:password_change"):
        yield name, client.get(reverse(name))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield f"{name} list", client.get(reverse(f"{name}_changelist"))
        yield f"{name} empty", client.get(reverse(f"{name}_changelist"), {"p": "9"})
        yield f"{name} add", client.get(reverse(f"{name}_add"))
        for row in list(model._default_manager.all())[:12]:
            for page in ("change", "history", "delete"):
                yield f"{name} {page}", client.get(page_of(row, page))


@pytest.mark.slow
@pytest.mark.django_db
def test_no_page_in_spanish_shows_an_english_string_of_ours(olga: Client) -> None:
    there = populate()
    platform = there.platforms[0]
    endpoint = WebhookEndpoint.objects.create(platform=platform, url="https://example.com/x", secret="x")
    hook = ApprovalHook.objects.create(platform=platform, url="https://example.com/y", secret="x", default="block")
    event = Event.objects.create(platform=platform, type="chat.ended", payload="{}")
    patterns = [(text, pattern_of(text)) for text in english_texts()]
    assert len(patterns) > 400
    pages = list(open_all(olga))
    listed = "admin:{}_changelist"
    pages += [
        ("end", end_all(olga, list(Chat.objects.all()))),
        ("reveal", olga.get(reverse("admin:chats_chat_reveal_number", args=[there.open_chat.pk]))),
        ("revoke", olga.post(KEYS, {"action": "revoke_keys", "_selected_action": [there.keys[0].pk]})),
        *(
            (label, olga.post(reverse(listed.format(label)), {"action": "rotate_secrets", "_selected_action": [pk]}))
            for label, pk in (("platforms_webhookendpoint", endpoint.pk), ("platforms_approvalhook", hook.pk))
        ),
        ("nobody", olga.post(CHATS, {"q": "nothing of the kind"}, follow=True)),
    ]
    assert event.pk and ApiKey.objects.exists() and Message.objects.exists()
    english: dict[str, set[str]] = {}
    for name, response in pages:
        if response.status_code != 200:
            continue
        assert '<html lang="es"' in response.content.decode(), name
        text = shown(response)
        for words, pattern in patterns:
            if pattern.search(text):
                english.setdefault(words, set()).add(name)
    assert english == {}
