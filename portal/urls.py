"""Addresses of the pages, for inclusion at the root."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.i18n import JavaScriptCatalog, set_language

from portal.views import (
    approvals,
    citizen,
    counter,
    entrance,
    fund,
    payments,
    shifts,
    slips,
    trying,
    workbench,
)

app_name = "portal"

urlpatterns = [
    path("", entrance.home, name="home"),
    path("login/", entrance.SignIn.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("language/", set_language, name="language"),
    path("texts.js", never_cache(JavaScriptCatalog.as_view(packages=["portal"])), name="texts"),
    path("me/", citizen.page, name="citizen"),
    path("me/code.json", citizen.code, name="code"),
    path("me/code.svg", citizen.code_picture, name="code_picture"),
    path("me/quotes/release", citizen.release, name="release_quotes"),
    path("me/settlements.json", citizen.settlements, name="settlements"),
    path("me/try/", trying.page, name="try"),
    path("counter/pharmacy/", counter.pharmacy, name="pharmacy"),
    path("counter/clinic/", counter.clinic, name="clinic"),
    path("counter/returns/", counter.returns, name="returns"),
    path("counter/ops/<slug:operation>", counter.operate, name="operate"),
    path("counter/look/<slug:name>", counter.look, name="look"),
    path("counter/shifts/<uuid:shift_id>/", shifts.page, name="handover"),
    path("slips/<uuid:settlement_id>/", slips.page, name="slip"),
    path("slips/<uuid:settlement_id>/issue/", slips.issue, name="slip_issue"),
    path("slips/<uuid:settlement_id>.json", slips.data, name="slip_data"),
    path("slips/<uuid:settlement_id>.pdf", slips.document, name="slip_pdf"),
    path("fund/", fund.page, name="fund"),
    path("fund/payments/", payments.page, name="payments"),
    path("fund/workbench/", workbench.page, name="workbench"),
    path("fund/approvals/", approvals.page, name="approvals"),
    path("fund/approvals/<uuid:approval_id>/", approvals.decision, name="approval"),
    path("fund/overview.json", fund.figures, name="figures"),
    path("fund/certainty.json", fund.certainty, name="certainty"),
]
