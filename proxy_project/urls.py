"""The whole HTTP surface."""

from django.contrib import admin
from django.urls import path
from django.views.decorators.cache import cache_page
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from chats.message_views import ChatMessagesView, OneMessageView
from chats.views import (
    BlockView,
    ChatsView,
    EndChatView,
    MuteView,
    OneChatView,
    ReopenChatView,
    ReplaceParticipantView,
    TranscriptView,
    UnblockView,
    UnmuteView,
    VirtualNumbersView,
)
from desk import views as desk
from messaging import webhooks
from messaging.keeping.views import ErasuresView
from messaging.media.views import show_media
from messaging.metrics import metrics
from messaging.readiness import readyz
from messaging.views import UsageView
from operators.views import preferences, second_factor
from platforms.approval_views import OneApprovalHookView, RotateHookSecretView
from platforms.template_views import OneTemplateView, PreviewView, TemplatesView
from platforms.views import (
    EndpointsView,
    EventsView,
    OneEndpointView,
    OneEventView,
    PingView,
    RedeliverView,
    RotateSecretView,
)
from proxy_project.health import healthz

urlpatterns = [
    path("chats", ChatsView.as_view()),
    path("chats/<uuid:chat_id>", OneChatView.as_view()),
    path("chats/<uuid:chat_id>/messages", ChatMessagesView.as_view()),
    path("chats/<uuid:chat_id>/messages.csv", TranscriptView.as_view()),
    path("chats/<uuid:chat_id>/messages/<uuid:message_id>", OneMessageView.as_view()),
    path("chats/<uuid:chat_id>/end", EndChatView.as_view()),
    path("chats/<uuid:chat_id>/reopen", ReopenChatView.as_view()),
    path("chats/<uuid:chat_id>/participants/<uuid:participant_id>/replace", ReplaceParticipantView.as_view()),
    path("chats/<uuid:chat_id>/participants/<uuid:participant_id>/mute", MuteView.as_view()),
    path("chats/<uuid:chat_id>/participants/<uuid:participant_id>/unmute", UnmuteView.as_view()),
    path("chats/<uuid:chat_id>/participants/<uuid:participant_id>/block", BlockView.as_view()),
    path("chats/<uuid:chat_id>/participants/<uuid:participant_id>/unblock", UnblockView.as_view()),
    path("virtual-numbers", VirtualNumbersView.as_view()),
    path("erasures", ErasuresView.as_view()),
    path("usage", UsageView.as_view()),
    path("templates", TemplatesView.as_view()),
    path("templates/preview", PreviewView.as_view()),
    path("templates/<uuid:template_id>", OneTemplateView.as_view()),
    path("events", EventsView.as_view()),
    path("events/<uuid:event_id>", OneEventView.as_view()),
    path("events/<uuid:event_id>/redeliver", RedeliverView.as_view()),
    path("webhook-endpoints", EndpointsView.as_view()),
    path("webhook-endpoints/<uuid:endpoint_id>", OneEndpointView.as_view()),
    path("webhook-endpoints/<uuid:endpoint_id>/rotate-secret", RotateSecretView.as_view()),
    path("webhook-endpoints/<uuid:endpoint_id>/ping", PingView.as_view()),
    path("approval-hook", OneApprovalHookView.as_view()),
    path("approval-hook/rotate-secret", RotateHookSecretView.as_view()),
    # The schema is the same for as long as the process runs.
    path("schema", cache_page(3600)(SpectacularAPIView.as_view(authentication_classes=())), name="schema"),
    # Without an inline script, which no page of ours has.
    path("docs", SpectacularSwaggerSplitView.as_view(authentication_classes=())),
    path("webhooks/inbound", webhooks.inbound),
    path("webhooks/status", webhooks.status),
    path("media/<str:token>/<str:name>", show_media),
    path("admin/preferences", admin.site.admin_view(preferences), name="preferences"),
    path("admin/second-factor", admin.site.admin_view(second_factor), name="second_factor"),
    path("admin/failures", admin.site.admin_view(desk.failures), name="desk_failures"),
    path("admin/setup", admin.site.admin_view(desk.setup), name="desk_setup"),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]

handler400 = "proxy_project.errors.bad_request"
handler404 = "proxy_project.errors.not_found"
handler500 = "proxy_project.errors.server_error"
