"""Names, help texts and choices of our models, in the operator's language: looked up where they stand, without a mark.

What a field is called follows from its name, so most models say nothing that could be marked.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.utils.choices import CallableChoiceIterator
from django.utils.translation import gettext_lazy

APPS = ("audit", "operators", "platforms", "chats", "messaging")


def translate_models() -> None:
    """Let Django look up what our models and their fields are called; migrations do not notice."""
    for app in APPS:
        config = apps.get_app_config(app)
        config.verbose_name = _later(config.verbose_name)
        for model in config.get_models():
            options: Any = model._meta
            options.verbose_name = _later(options.verbose_name)
            options.verbose_name_plural = _later(options.verbose_name_plural)
            for field in _fields_of(model):
                field.verbose_name = _later(field.verbose_name)
                field.help_text = _later(field.help_text)
                if _has_choices(field):
                    field.choices = [(value, _later(label)) for value, label in field.choices]


def list_names() -> Iterator[str]:
    """Yield those of the models that the admin has pages of, or shows on one, for the catalog."""
    for app in APPS:
        yield str(apps.get_app_config(app).verbose_name)
    for model in sorted(_models_of_pages(), key=lambda model: model._meta.label):
        yield from (str(model._meta.verbose_name), str(model._meta.verbose_name_plural))
        for field in _fields_of(model):
            yield from (str(field.verbose_name), str(field.help_text))
            if field.choices:
                yield from (str(label) for _, label in field.choices)


def _models_of_pages() -> set[type[models.Model]]:
    shown = {model for model in admin.site._registry if model._meta.app_label in APPS}
    for page in admin.site._registry.values():
        shown |= {inline.model for inline in page.inlines}
    # What became of an event.
    return shown | {apps.get_model("platforms", "EventDelivery")}


def _fields_of(model: type[models.Model]) -> list[Any]:
    return list(model._meta.local_fields)


def _has_choices(field: Any) -> bool:
    # Those that a function lists are looked up there.
    return bool(field.choices) and not isinstance(field.choices, CallableChoiceIterator)


def _later(text: Any) -> Any:
    # Nothing would be looked up as the head of the catalog.
    return gettext_lazy(str(text)) if text else text
