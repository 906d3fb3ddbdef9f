"""Templates on the page of a platform, each as somebody will read it, with its cost, while it is being written."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from unfold.admin import StackedInline
from unfold.decorators import display

from messaging.models import UsageDay
from messaging.segments import find_costly, measure
from messaging.wording import ENGLISH
from messaging.writing import preview
from platforms.models import Platform, Template
from platforms.templates import LONGEST_TEMPLATE, TemplateKind, list_fields, normalize_language, validate_template

# What fields stand for in a preview.
_EXAMPLES = {"name": "Sara", "counterpart": "Omar", "former": "Bob", "reference": "booking-12"}
# So many rows of the books are looked at for what a segment costs: the latest.
_PRICED = 200


class TemplateForm(forms.ModelForm):
    def clean_language(self) -> str:
        return normalize_language(self.cleaned_data["language"])


class TemplateInline(StackedInline):
    model = Template
    form = TemplateForm
    extra = 0
    tab = True
    template_before = "platforms/template_errors.html"
    fields = ("kind", "language", "side", "text", "preview")
    readonly_fields = ("preview",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Template]:
        return super().get_queryset(request).select_related("platform")

    @display(description=gettext_lazy("As Sara reads it"))
    def preview(self, template: Template) -> SafeString:
        if template.kind not in TemplateKind or template._state.adding:
            return _show("", gettext_lazy("Appears while you write."))
        text = _write(template.platform, TemplateKind(template.kind), template.text, template.language, template.side)
        return _show(text, say_cost(text))


class TemplatePreview:
    """First among the bases of the page of platforms."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(require_POST(self.preview_template))  # type: ignore[attr-defined]
        own = path("<uuid:platform_id>/preview", view, name="platforms_platform_preview")
        return [own, *super().get_urls()]  # type: ignore[misc]

    def preview_template(self, request: HttpRequest, platform_id: UUID) -> HttpResponse:
        """Answer what somebody would be texted by the template that is being written; nothing is kept."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        platform = Platform.objects.filter(pk=platform_id).first()
        if platform is None:
            raise Http404("There is no such platform.")
        asked = request.POST
        if asked.get("kind") not in TemplateKind:
            return JsonResponse({"text": "", "words": _("Choose what it is for."), "problem": ""})
        kind, text = TemplateKind(asked["kind"]), asked.get("text", "")[: LONGEST_TEMPLATE * 2]
        try:
            language = normalize_language(asked.get("language", "")) or platform.language
        except ValidationError:
            language = platform.language
        side = int(asked["side"]) if asked.get("side") in ("1", "2") else None
        told = _write(platform, kind, text or None, language, side)
        fields = ", ".join(f"{{{field}}}" for field in list_fields(kind))
        return JsonResponse(
            {
                "text": told,
                "words": say_cost(told, price=find_price(platform)),
                "problem": _find_problem(kind, text) if text.strip() else "",
                # Before anything is written, what is said without it.
                "note": "" if text.strip() else _("What people read without this template."),
                "fields": _("Fields: %(fields)s") % {"fields": fields} if fields else _("No fields here."),
            }
        )


def say_cost(text: str, *, price: tuple[Decimal, str] | None = None) -> str:
    """Say in how many segments a text is sent, what makes it dear, and what it costs, if a segment's price is known."""
    measured = measure(text)
    if not text:
        return _("Nothing is sent.")
    segments = ngettext("%(count)s segment of %(encoding)s", "%(count)s segments of %(encoding)s", measured.segments)
    room = _("room for %(count)s more characters") % {"count": measured.characters_left}
    words = f"{segments % {'count': measured.segments, 'encoding': measured.encoding}}, {room}"
    if price:
        amount = number_format(price[0] * measured.segments, 4)
        words += _(", about %(amount)s %(currency)s each") % {"amount": amount, "currency": price[1]}
    if costly := find_costly(text):
        words += _("; dearer because of %(characters)s") % {"characters": " ".join(costly[:8])}
    return words


def find_price(platform: Platform) -> tuple[Decimal, str] | None:
    """Return what a segment has cost the platform lately, and in which currency; None while nobody has told."""
    latest = UsageDay.objects.filter(platform=platform).order_by("-day").values_list(
        "direction", "currency", "segments", "price"
    )[:_PRICED]  # fmt: skip
    priced = [(currency, segments, price) for direction, currency, segments, price in latest
              if direction == "out" and currency and segments > 0 and price > 0]  # fmt: skip
    if not priced:
        return None
    currency = priced[0][0]
    same = [(segments, price) for other, segments, price in priced if other == currency]
    return Decimal(sum(price for _segments, price in same)) / sum(segments for segments, _price in same), currency


def find_preview_address(platform: Platform) -> str:
    return reverse("admin:platforms_platform_preview", args=[platform.pk])


def _write(platform: Platform, kind: TemplateKind, text: str | None, language: str, side: int | None) -> str:
    return preview(
        kind=kind, text=text, language=language or ENGLISH, side=side, platform=platform, fields=_EXAMPLES
    )  # fmt: skip


def _find_problem(kind: TemplateKind, text: str) -> str:
    try:
        validate_template(kind, text)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _show(text: str, words: Any) -> SafeString:
    return format_html(
        '<span class="template-preview" data-preview aria-live="polite"><span data-text dir="auto">{}</span> '
        '<small data-words>{}</small></span>',
        text,
        f"({words})" if text else words,
    )  # fmt: skip
