"""The pages of the desk besides the first one."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse


def failures(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "desk/failures.html", {**admin.site.each_context(request)})


def setup(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "desk/setup.html", {**admin.site.each_context(request)})
