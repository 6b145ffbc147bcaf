"""Every address of the deployment."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from config import documents, health
from merchants.api import AnswerKeysEndpoint

urlpatterns = [
    # First, because it is asked thousands of times as often as the rest.
    path("api/v1/", include("settlement.urls")),
    path("api/v1/", include("merchants.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("docs/refusals", documents.refusals, name="refusals"),
    path("admin/", admin.site.urls),
    path("api/v1/openapi.json", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    path(".well-known/answer-keys.json", AnswerKeysEndpoint.as_view(), name="answer-keys"),
    path("", include("voucher.urls")),
    path("", include("portal.urls")),
]
